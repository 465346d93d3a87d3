-- Heartbeats of the processes, and the figures for Prometheus and /healthz.

-- name: metrics
-- The pipeline as a whole, for Prometheus, whichever process it asks. Null: there is nothing to tell yet. Times are
-- seconds. The latency is that of files which needed one attempt, as in `status`. The condition uses now(), because an
-- index cannot be searched by a clock that goes on. Runs without dates are tests, or runs of the whole history.
with waiting as (
    select
        count(*) filter (where status = 'discovered') as discovered,
        count(*) filter (where status = 'loading') as loading,
        count(*) filter (where status = 'failed') as failed,
        min(received_at) as since
    from raw.files
    where status in ('discovered', 'loading', 'failed')
), arrivals as (
    select percentile_cont(array[0.5, 0.95, 1]) within group (
        order by cast(extract(epoch from modelled_at - event_at) as double precision)
    ) as seconds
    from raw.files
    where status = 'loaded' and attempts = 1 and modelled_at > now() - interval '1 hour'
), queue as (
    select count(distinct sale_date) as dates, min(enqueued_at) as since from raw.rebuild_queue
    where sale_date >= raw.live_since()
), last_run as (
    select status, started_at, finished_at from raw.dbt_runs
    where status <> 'running' and dates > 0
    order by run_id desc limit 1
), last_success as (
    select run_id from raw.dbt_runs where status = 'succeeded' and dates > 0 order by run_id desc limit 1
), failures as (
    select count(*) as runs from raw.dbt_runs
    where status = 'failed' and dates > 0 and run_id > coalesce((select run_id from last_success), 0)
)
select
    waiting.discovered,
    waiting.loading,
    waiting.failed,
    coalesce(extract(epoch from clock_timestamp() - waiting.since), 0) as waiting_seconds,
    queue.dates as queue_dates,
    coalesce(extract(epoch from clock_timestamp() - queue.since), 0) as queue_seconds,
    last_run.status = 'succeeded' as run_succeeded,
    extract(epoch from last_run.finished_at - last_run.started_at) as run_seconds,
    extract(epoch from last_run.finished_at) as run_finished_at,
    failures.runs as failed_runs,
    mart.mart_version,
    extract(epoch from mart.published_at) as published_at,
    extract(epoch from clock_timestamp() - coalesce(under_way.seen_at, under_way.started_at)) as run_silence_seconds,
    arrivals.seconds as arrival_to_mart,
    (select unseen_objects from ops.bucket) as objects_unseen,
    array(select array[problem, severity, coalesce(subject, '')] from ops.problems) as problems
from waiting
cross join arrivals
cross join queue
cross join failures
cross join ops.mart_version as mart
left join raw.dbt_under_way as under_way on under_way.is_live
left join last_run on true;

-- name: health
-- The part of /healthz that is about dbt: how the last run that rebuilt dates ended, and how long a run under way has
-- been silent.
select
    (select status from raw.dbt_runs where status <> 'running' and dates > 0 order by run_id desc limit 1) as last_dbt_run,
    (select jsonb_build_object(
        'run_id', run_id, 'started_by', started_by, 'started_at', started_at,
        'silent_seconds', round(extract(epoch from clock_timestamp() - coalesce(seen_at, started_at)))
    ) from raw.dbt_under_way where is_live) as dbt_under_way;

-- name: beat
-- Records that this process is alive, and forgets others of its kind that have said nothing for a day.
with forgotten as (
    delete from raw.heartbeats
    where process = :process and instance <> :instance and seen_at < now() - interval '1 day'
)
insert into raw.heartbeats (process, instance) values (:process, :instance)
on conflict (process, instance) do update set seen_at = clock_timestamp();

-- name: end_heartbeat
-- Forgets this process, which ends as it was asked to: nobody needs to miss it.
delete from raw.heartbeats where process = :process and instance = :instance;
