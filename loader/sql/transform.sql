-- Statements of the dbt worker before and after a run. Those of the run itself are macros of the dbt project.

-- name: waiting_for_dbt
-- The dates to rebuild, and whether a run that shows life is under way. `is_behind`: the facts have changed since one
-- of these marts of the whole history was built. `is_due`: it is time to build them, which may take a tenth of the time
-- at most.
with under_way as (
    select is_live, is_history from raw.dbt_under_way
    where seen_at > clock_timestamp() - make_interval(secs => :lease_seconds)
), facts as (
    select raw.live_as_of() as as_of
), history as (
    select coalesce(bool_or(facts.as_of > coalesce(built.as_of, '-infinity')), false) as is_behind
    from unnest(cast(:history_marts as text[])) as mart
    left join ops.history_marts as built using (mart)
    cross join facts
), last_history as (
    select finished_at, case status when 'succeeded' then finished_at - started_at else interval '0' end as took
    from raw.dbt_runs
    where is_history and not is_live and status <> 'running'
    order by run_id desc limit 1
)
select
    (select count(distinct sale_date) from raw.rebuild_queue where sale_date >= raw.live_since()) as dates,
    exists (select from under_way where is_live) as is_busy,
    exists (select from under_way where is_history) as is_busy_with_history,
    history.is_behind,
    history.is_behind and not exists (select from under_way where is_history) and clock_timestamp() > greatest(
        coalesce(last_history.finished_at, facts.as_of) + make_interval(secs => :history_seconds),
        last_history.finished_at + 9 * last_history.took
    ) as is_due
from history
cross join facts
left join last_history on true;

-- name: prove_writes
-- Fails where PostgreSQL takes no writes, before dbt says so of each of its nodes.
select queue_id from raw.rebuild_queue limit 1 for update skip locked;

-- name: definitions
-- The tables and views that exist, the project that they were built from, and whether a run has begun since then that
-- may have replaced some of them. `last_run`: the last run that may have.
select
    (select digest from raw.dbt_project) as digest,
    coalesce((select is_touched from raw.dbt_project), true) as is_touched,
    (select coalesce(max(run_id), 0) from raw.dbt_runs where is_live) as last_run,
    array(
        select schemaname || '.' || relname from (
            select schemaname, tablename as relname from pg_tables
            union all
            select schemaname, viewname from pg_views
        ) as relations
        where schemaname in ('staging', 'core', 'kpi', 'ops')
    ) as relations;

-- name: definitions_are_built
-- Records the project that the definitions were built from, unless another run has come between and may have replaced
-- some.
insert into raw.dbt_project (digest)
select :digest
where not exists (
    select from raw.dbt_runs
    where is_live and run_id > :last_run and invocation_id is distinct from :invocation_id
)
on conflict (is_one) do update set digest = excluded.digest, is_touched = false;

-- name: finished_run
-- The dates, files and version that a run of dbt has published.
select run_id, dates, files, mart_version from raw.dbt_runs where invocation_id = :invocation_id;

-- name: record_tests
-- Records a run of tests. It has no dates: it publishes nothing, and says nothing about the published marts.
insert into raw.dbt_runs (status, started_at, finished_at, dates, files, nodes, error)
values (:status, :started_at, clock_timestamp(), 0, 0, cast(:nodes as jsonb), :error);
