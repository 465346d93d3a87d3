-- A run of dbt builds what every arrival changes, or marts of the whole history (tag `history` in dbt_sales), or both.
alter table raw.dbt_runs
add column if not exists is_live boolean not null default true,     -- claims the dates that wait
add column if not exists is_history boolean not null default false, -- builds marts of the whole history
add column if not exists as_of timestamptz;                         -- what it began with of the facts: see raw.live_as_of

-- Prevents two runs from publishing the same marts at the same time.
drop index if exists raw.dbt_runs_one_is_running;
create unique index if not exists dbt_runs_one_is_live on raw.dbt_runs (status) where status = 'running' and is_live;
create unique index if not exists dbt_runs_one_is_history on raw.dbt_runs (status) where status = 'running' and is_history;
create index if not exists dbt_runs_of_history on raw.dbt_runs (run_id) where is_history;

-- A mart of the whole history says as of when it is, which may be before the facts that are published.
create table if not exists ops.history_marts (
    mart text primary key, -- with its schema
    as_of timestamptz not null
);
grant select on ops.history_marts to dashboard_viewer, transformer, loader;

-- The project of which the loader has built all views and tables, by the digest of its files, and whether a run has begun
-- since, which may have replaced views by those of another project.
create table if not exists raw.dbt_project (
    is_one boolean primary key default true check (is_one),
    digest text not null,
    is_touched boolean not null default false
);
grant select, insert, update on raw.dbt_project to loader;

-- When the facts that are published were; null: none are.
create or replace function raw.live_as_of() returns timestamptz
language sql stable set search_path = pg_catalog as $$
    select finished_at from raw.dbt_runs where is_live and mart_version is not null order by run_id desc limit 1
$$;

-- The dates to rebuild: those that the run of arrivals has claimed; without one (dbt in a shell), all that wait.
create or replace function raw.affected_dates() returns date[]
language sql stable as $$
    with running as (
        select max(run_id) as run_id from raw.dbt_runs where status = 'running' and is_live
    )
    select coalesce(array_agg(distinct queue.sale_date), array[]::date[])
    from raw.rebuild_queue as queue
    cross join running
    where running.run_id is null or queue.run_id = running.run_id
$$;

create or replace view raw.dbt_under_way as
select
    run_id, invocation_id, started_by, started_at,
    (select max(session.seen_at) from ops.sessions_of_run(invocation_id) as session) as seen_at,
    is_live, is_history
from raw.dbt_runs
where status = 'running';

-- Claims everything that waits, also what failed runs had claimed; a run of the whole history alone claims no dates. While
-- another run of its kind is under way it waits, then refuses; one that has died, or has been silent for `lease_seconds`,
-- loses its claim, and can publish nothing any more.
drop function if exists raw.begin_run(text, text, double precision, double precision);
create or replace function raw.begin_run(
    invocation text, started_by text, lease_seconds double precision, wait_seconds double precision,
    is_live boolean, is_history boolean
) returns bigint
language plpgsql security definer set search_path = pg_catalog as $$
declare
    claimed bigint;
    other record;
    before bigint;
    unheard_since timestamptz;
    deadline timestamptz := clock_timestamp() + make_interval(secs => wait_seconds);
begin
    loop
        insert into raw.dbt_runs (invocation_id, started_by, dates, files, is_live, is_history, as_of)
        values (invocation, started_by, 0, 0, begin_run.is_live, begin_run.is_history, raw.live_as_of())
        on conflict do nothing
        returning run_id into claimed;
        exit when claimed is not null;
        select * into other
        from raw.dbt_under_way as run
        where (run.is_live and begin_run.is_live) or (run.is_history and begin_run.is_history)
        order by run.run_id
        limit 1;
        continue when not found;
        unheard_since := case
            when other.seen_at is not null then null
            when other.run_id = before then coalesce(unheard_since, clock_timestamp())
            else clock_timestamp()
        end;
        before := other.run_id;
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
    if begin_run.is_live then
        update raw.dbt_project set is_touched = true;
        update raw.rebuild_queue set run_id = claimed;
        update raw.dbt_runs as runs
        set dates = waiting.dates, files = waiting.files
        from (
            select count(distinct sale_date) as dates, count(distinct file_id) as files from raw.rebuild_queue
        ) as waiting
        where runs.run_id = claimed;
    end if;
    return claimed;
end
$$;

-- Records the end of a run. Without an error the version rises where `changed`, what it had claimed is acknowledged where
-- `complete`, and `history`, the marts of the whole history that it has built, are as of the facts that it began with, or
-- that it has published. Raises an exception, which undoes what the transaction has published, when the claim is lost.
drop function if exists raw.finish_run(text, text, jsonb, boolean, boolean);
create or replace function raw.finish_run(
    invocation text, problem text, results jsonb, changed boolean, complete boolean, history text[]
) returns void
language plpgsql security definer set search_path = pg_catalog as $$
declare
    run record;
    version bigint;
begin
    update raw.dbt_runs
    set
        status = case when problem is null then 'succeeded' else 'failed' end,
        finished_at = clock_timestamp(), nodes = results, error = problem
    where invocation_id = invocation and status = 'running'
    returning run_id, is_live, as_of into run;
    if run is null then
        raise exception 'this run of dbt gave no sign of life, and another one has taken over: nothing was published';
    end if;
    if problem is null and complete and run.is_live then
        update raw.files set modelled_at = clock_timestamp()
        where status = 'loaded' and file_id in (select file_id from raw.rebuild_queue where run_id = run.run_id);
        delete from raw.rebuild_queue where run_id = run.run_id;
    end if;
    if problem is null and changed and exists (select from raw.sales_lines) then
        update ops.mart_version set mart_version = mart_version + 1, published_at = clock_timestamp()
        returning mart_version into version;
        update raw.dbt_runs set mart_version = version where run_id = run.run_id;
        perform pg_notify('mart_version', version::text);
    end if;
    if problem is null then
        insert into ops.history_marts (mart, as_of)
        select built.mart, facts.as_of
        from unnest(history) as built (mart)
        cross join (select case when run.is_live then raw.live_as_of() else run.as_of end as as_of) as facts
        where facts.as_of is not null
        on conflict (mart) do update set as_of = excluded.as_of;
    end if;
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
    history text[];
begin
    execute format(
        'select count(*) > 0, array_agg(distinct array_to_string((parse_ident(relation))[2:3], ''.''))'
        ' filter (where is_history) from %I.built', next
    ) into changed, history;
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
    perform raw.finish_run(invocation, problem, results, changed, complete, history);
end
$$;

-- What runs that are no more under way have built.
create or replace function ops.discard_dead_runs() returns void
language plpgsql set search_path = pg_catalog as $$
declare
    next text;
begin
    perform pg_advisory_xact_lock(hashtextextended('ops.discard_dead_runs', 0)); -- two runs may begin at once
    for next in
        select nspname from pg_namespace
        where
            nspname ~ '^next_' and nspowner = current_user::regrole
            and nspname not in (
                select 'next_' || replace(invocation_id, '-', '') from raw.dbt_runs
                where status = 'running' and invocation_id is not null
            )
    loop
        perform ops.discard(next);
    end loop;
end
$$;

revoke execute on function
    ops.discard_dead_runs(),
    raw.begin_run(text, text, double precision, double precision, boolean, boolean),
    raw.finish_run(text, text, jsonb, boolean, boolean, text[]), raw.live_as_of()
from public;
grant execute on function
    ops.discard_dead_runs(),
    raw.begin_run(text, text, double precision, double precision, boolean, boolean),
    raw.finish_run(text, text, jsonb, boolean, boolean, text[])
to transformer;
grant execute on function raw.live_as_of() to loader;

-- fct_customer_days tells every day on which a customer is on a line, of whatever kind; segments are tables. dbt builds
-- these anew, as it finds none.
do $$
declare
    superseded record;
begin
    for superseded in
        select
            relnamespace::regnamespace || '.' || quote_ident(relname) as name,
            case relkind when 'v' then 'view' when 'i' then 'index' else 'table' end as kind
        from pg_class
        where
            oid in (
                to_regclass('core.fct_customer_days'), to_regclass('kpi.kpi_rfm_cells'),
                to_regclass('kpi.kpi_cohort_months'), to_regclass('kpi.kpi_monthly_product_pairs'),
                to_regclass('kpi.kpi_rfm_segments'), to_regclass('kpi.kpi_customer_rfm')
            )
            or oid in (
                select indexrelid from pg_index
                where
                    (
                        indrelid = to_regclass('core.fct_sales_lines')
                        and strpos(pg_get_indexdef(indexrelid), '(customer_id, sale_date)') > 0
                    )
                    or (indrelid = to_regclass('kpi.kpi_customers') and strpos(pg_get_indexdef(indexrelid), 'log(') > 0)
            )
    loop
        execute format('drop %s if exists %s cascade', superseded.kind, superseded.name);
    end loop;
end
$$;
