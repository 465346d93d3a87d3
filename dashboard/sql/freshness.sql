select
    freshness.mart_version, freshness.published_at, freshness.last_event_at, freshness.last_loaded_at,
    freshness.last_modelled_at, freshness.files_waiting + bucket.unseen_objects as files_waiting, freshness.dates_waiting,
    freshness.last_run_status, freshness.last_run_error, freshness.latency_p50_seconds, freshness.latency_p95_seconds,
    (
        select coalesce(jsonb_agg(to_jsonb(trouble) order by trouble.severity desc, trouble.since), '[]')
        from ops.problems as trouble
    ) as problems,
    -- It only rises, as no change is ever taken out and no note but marked as deleted: what is cached under it is of now.
    (select count(*) from dashboard.target_changes)
    + (select count(*) + count(deleted_at) from dashboard.annotations) as entries
from ops.ops_freshness as freshness
cross join ops.bucket as bucket
