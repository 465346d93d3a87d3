-- The dates to rebuild: those that the running run has claimed; without one (dbt in a shell), all that wait.
create function raw.affected_dates() returns date[]
language sql stable as $$
    with running as (
        select max(run_id) as run_id from raw.dbt_runs where status = 'running'
    )
    select coalesce(array_agg(distinct queue.sale_date), array[]::date[])
    from raw.rebuild_queue as queue
    cross join running
    where running.run_id is null or queue.run_id = running.run_id
$$;
-- Serves it, however many runs there have been.
create index dbt_runs_running on raw.dbt_runs (run_id) where status = 'running';

drop function ops.publish_marts(bigint);
drop schema kpi_next;
create schema next authorization transformer; -- what a run has built and not yet published

-- How each model of a run puts its new rows in place of the old ones; written by the model, as its strategy has it.
create table ops.replacements (
    relation text primary key, -- prevents two statements for one table
    statement text not null
);
alter table ops.replacements owner to transformer;

-- What a run that failed has left is of no use to the next.
create function ops.clear_next() returns void
language plpgsql security definer set search_path = pg_catalog as $$
declare
    leftover name;
begin
    delete from ops.replacements;
    for leftover in select tablename from pg_tables where schemaname = 'next' loop
        execute format('drop table next.%I', leftover);
    end loop;
end
$$;

-- All facts and marts change in one moment, in the transaction that acknowledges the run: a reader never sees two states
-- mixed.
create function ops.publish_marts() returns void
language plpgsql security definer set search_path = pg_catalog as $$
declare
    each record;
begin
    for each in delete from ops.replacements returning relation, statement loop
        execute each.statement;
        execute format('drop table next.%I', each.relation);
    end loop;
end
$$;
revoke execute on function ops.clear_next(), ops.publish_marts() from public;
grant execute on function ops.clear_next(), ops.publish_marts() to loader;
-- They write next, core and kpi, which nobody else does.
alter function ops.clear_next() owner to transformer;
alter function ops.publish_marts() owner to transformer;
