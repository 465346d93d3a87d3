-- dbt claims and publishes by its own hooks (dbt_sales/macros/publication), so that a run of the worker and one that a
-- person types do the same.
drop schema if exists next cascade; -- each run has one of its own now
drop function if exists ops.clear_next(), ops.put_in_place(), ops.publish_marts();
drop table if exists ops.replacements;

alter table raw.dbt_runs add column if not exists invocation_id text; -- dbt's; null: a run of tests, or an earlier revision's
alter table raw.dbt_runs add column if not exists started_by text;    -- who, and by which command
update raw.dbt_runs set status = 'failed', finished_at = clock_timestamp(), error = 'dbt stopped during the run'
where status = 'running';
drop index if exists raw.dbt_runs_running;
-- Prevents two runs from publishing at the same time.
create unique index if not exists dbt_runs_one_is_running on raw.dbt_runs (status) where status = 'running';

-- Who has locked a mart is waited for so long, and then the run has failed.
alter role transformer set lock_timeout = '10s';

-- The sessions of a run, which begin each statement with its invocation (`query-comment` in dbt_project.yml), and when
-- PostgreSQL last heard of each.
create or replace function ops.sessions_of_run(invocation text) returns table (pid integer, seen_at timestamptz)
language sql volatile security definer set search_path = pg_catalog as $$
    select activity.pid, case when state = 'active' then clock_timestamp() else state_change end
    from pg_stat_activity as activity
    where
        datname = current_database() and usename = current_user and activity.pid <> pg_backend_pid()
        and starts_with(query, '/* dbt ' || invocation)
$$;

create or replace function ops.end_sessions_of_run(invocation text) returns void
language plpgsql security definer set search_path = pg_catalog as $$
declare
    gone record;
begin
    for gone in select pid from ops.sessions_of_run(invocation) loop
        perform pg_terminate_backend(gone.pid, 5000);
    end loop;
end
$$;

-- The run that is under way, if one is, and when PostgreSQL last heard of it: null between two of its statements, or
-- when it has died.
drop view if exists raw.dbt_under_way;
create view raw.dbt_under_way as
select
    run_id, invocation_id, started_by, started_at,
    (select max(session.seen_at) from ops.sessions_of_run(invocation_id) as session) as seen_at
from raw.dbt_runs
where status = 'running';
grant select on raw.dbt_under_way to loader;

-- Claims everything that waits, also what failed runs had claimed. While another run is under way it waits, then refuses;
-- one that has died, or has been silent for `lease_seconds`, loses its claim, and can publish nothing any more.
create or replace function raw.begin_run(
    invocation text, started_by text, lease_seconds double precision, wait_seconds double precision
) returns bigint
language plpgsql security definer set search_path = pg_catalog as $$
declare
    claimed bigint;
    other record;
    unheard_since timestamptz;
    deadline timestamptz := clock_timestamp() + make_interval(secs => wait_seconds);
begin
    loop
        insert into raw.dbt_runs (invocation_id, started_by, dates, files) values (invocation, started_by, 0, 0)
        on conflict (status) where status = 'running' do nothing
        returning run_id into claimed;
        exit when claimed is not null;
        select * into other from raw.dbt_under_way;
        continue when not found;
        unheard_since := case when other.seen_at is null then coalesce(unheard_since, clock_timestamp()) end;
        if other.seen_at < clock_timestamp() - make_interval(secs => lease_seconds)
            or unheard_since < clock_timestamp() - interval '10 seconds'
        then
            perform ops.end_sessions_of_run(other.invocation_id);
            update raw.dbt_runs
            set
                status = 'failed', finished_at = clock_timestamp(),
                error = format('dbt stopped during the run, or stood still; taken over by %s', begin_run.started_by)
            where run_id = other.run_id and status = 'running';
        elsif clock_timestamp() > deadline then
            raise exception 'another dbt run is under way: %, since %. Wait for its end, or end it; nothing has changed',
                coalesce(other.started_by, 'an earlier version of the loader'), to_char(other.started_at, 'HH24:MI:SS');
        else
            perform pg_sleep(0.05);
        end if;
    end loop;
    update raw.rebuild_queue set run_id = claimed;
    update raw.dbt_runs as runs
    set dates = waiting.dates, files = waiting.files
    from (
        select count(distinct sale_date) as dates, count(distinct file_id) as files from raw.rebuild_queue
    ) as waiting
    where runs.run_id = claimed;
    return claimed;
end
$$;

-- Records the end of a run. Without an error the version rises where `changed`, and what it had claimed is acknowledged
-- where `complete`. Raises an exception, which undoes what the transaction has published, when the claim is lost.
create or replace function raw.finish_run(invocation text, problem text, results jsonb, changed boolean, complete boolean)
returns void
language plpgsql security definer set search_path = pg_catalog as $$
declare
    run bigint;
    version bigint;
begin
    update raw.dbt_runs
    set
        status = case when problem is null then 'succeeded' else 'failed' end,
        finished_at = clock_timestamp(), nodes = results, error = problem
    where invocation_id = invocation and status = 'running'
    returning run_id into run;
    if run is null then
        raise exception 'this run of dbt gave no sign of life, and another one has taken over: nothing was published';
    end if;
    if problem is null and complete then
        update raw.files set modelled_at = clock_timestamp()
        where status = 'loaded' and file_id in (select file_id from raw.rebuild_queue where run_id = run);
        delete from raw.rebuild_queue where run_id = run;
    end if;
    if problem is null and changed and exists (select from raw.sales_lines) then
        update ops.mart_version set mart_version = mart_version + 1, published_at = clock_timestamp()
        returning mart_version into version;
        update raw.dbt_runs set mart_version = version where run_id = run;
        perform pg_notify('mart_version', version::text);
    end if;
end
$$;

-- A table that was built anew takes the place of the published one. What depends on that, its readers too, stays.
create or replace function ops.exchange(published regclass, built regclass) returns void
language plpgsql set search_path = pg_catalog as $$
declare
    target name := (select relnamespace::regnamespace::text from pg_class where oid = published);
    each record;
    views text[] := array(
        select distinct format('create or replace view %s as %s', view.oid::regclass, pg_get_viewdef(view.oid))
        from pg_depend
        join pg_rewrite on pg_depend.classid = 'pg_rewrite'::regclass and pg_rewrite.oid = pg_depend.objid
        join pg_class as view on view.oid = pg_rewrite.ev_class
        where pg_depend.refclassid = 'pg_class'::regclass and pg_depend.refobjid = published and view.relkind = 'v'
    );
begin
    for each in
        select grantee::regrole as reader, privilege_type as privilege
        from pg_class, aclexplode(relacl)
        where oid = published and grantee not in (0, relowner)
    loop
        execute format('grant %s on %s to %s', each.privilege, built, each.reader);
    end loop;
    -- Names of indexes are unique within a schema.
    for each in select indexrelid::regclass as index from pg_index where indrelid = published loop
        execute format('alter index %s rename to %I', each.index, 'replaced_' || each.index::oid);
    end loop;
    execute format('alter table %s rename to %I', published, 'replaced_' || published::oid);
    execute format('alter table %s set schema %I', built, target);
    for each in select unnest(views) as statement loop
        execute each.statement;
    end loop;
    execute format('drop table %I.%I', target, 'replaced_' || published::oid);
end
$$;

-- What a run that failed has built: its schema, and each table that was not there and that it created in its place.
create or replace function ops.discard(next text) returns void
language plpgsql set search_path = pg_catalog as $$
declare
    created text;
begin
    if to_regclass(format('%I.built', next)) is not null then
        for created in execute format('select relation from %I.built where statement = %L', next, '') loop
            execute format('drop table if exists %s cascade', created);
        end loop;
    end if;
    execute format('drop schema %I cascade', next);
end
$$;

-- Everything that a run has built takes its place, in this transaction.
create or replace function ops.publish(next text) returns void
language plpgsql set search_path = pg_catalog as $$
declare
    each record;
begin
    for each in execute format('select statement from %I.built where statement <> %L order by relation', next, '') loop
        execute each.statement;
    end loop;
end
$$;

-- The end of a run: all that it has built becomes what is published, or nothing, and the ledger says which.
create or replace function ops.end_run(invocation text, next text, problem text, results jsonb, complete boolean)
returns void
language plpgsql set search_path = pg_catalog as $$
declare
    state text;
    violated text;
    changed boolean;
begin
    execute format('select exists (select from %I.built)', next) into changed;
    if problem is null then
        begin
            perform ops.publish(next);
        exception when others then
            get stacked diagnostics problem = message_text, violated = constraint_name, state = returned_sqlstate;
            problem := case state
                when '55P03' then 'another session has locked a mart or a fact: `select * from pg_locks` shows it'
                else format(
                    'PostgreSQL refused the marts: %s (SQLSTATE %s%s)',
                    -- Data exceptions quote the value behind a colon.
                    case when state like '22%' then split_part(problem, ':', 1) else problem end,
                    state, coalesce(', constraint ' || nullif(violated, ''), '')
                )
            end;
        end;
    end if;
    if problem is null then
        execute format('drop schema %I cascade', next);
    else
        perform ops.discard(next);
    end if;
    perform raw.finish_run(invocation, problem, results, changed, complete);
end
$$;

-- For dbt to end with an error where everything was built and could not be published.
create or replace function ops.refuse_if_unpublished(invocation text) returns void
language plpgsql set search_path = pg_catalog as $$
declare
    problem text := (select error from raw.dbt_runs where invocation_id = invocation and status = 'failed');
begin
    if problem is not null then
        raise exception '%', problem;
    end if;
end
$$;

revoke execute on function
    ops.sessions_of_run(text), ops.end_sessions_of_run(text), raw.begin_run(text, text, double precision, double precision),
    raw.finish_run(text, text, jsonb, boolean, boolean), ops.exchange(regclass, regclass), ops.discard(text), ops.publish(text),
    ops.end_run(text, text, text, jsonb, boolean), ops.refuse_if_unpublished(text)
from public;
grant execute on function
    ops.sessions_of_run(text), raw.begin_run(text, text, double precision, double precision),
    raw.finish_run(text, text, jsonb, boolean, boolean), ops.exchange(regclass, regclass), ops.discard(text), ops.publish(text),
    ops.end_run(text, text, text, jsonb, boolean), ops.refuse_if_unpublished(text)
to transformer;
grant execute on function ops.sessions_of_run(text) to loader;
-- Nobody but the login of these sessions sees and ends them.
alter function ops.sessions_of_run(text) owner to transformer;
alter function ops.end_sessions_of_run(text) owner to transformer;
do $$
begin
    execute format(
        'grant execute on function ops.sessions_of_run(text), ops.end_sessions_of_run(text) to %I', current_user
    );
    -- For the schema that a run builds in.
    execute format('grant create on database %I to transformer', current_database());
end
$$;
