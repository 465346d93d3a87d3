select
    freshness.mart_version, freshness.published_at, freshness.last_event_at, freshness.last_loaded_at,
    freshness.files_waiting + bucket.unseen_objects as files_waiting,
    freshness.last_run_status, freshness.last_run_error, freshness.latency_p50_seconds, freshness.latency_p95_seconds,
    (
        select coalesce(jsonb_agg(to_jsonb(trouble) order by trouble.severity desc, trouble.since), '[]')
        from ops.problems as trouble
    ) as problems,
    -- Another text for every state of targets and notes. The counts tell apart what commits in any order, the moments what
    -- was restored from a backup.
    concat_ws(
        '; ',
        (select concat_ws(' ', count(*), max(changed_at)) from dashboard.target_changes),
        (select concat_ws(' ', count(*), max(created_at), count(deleted_at), max(deleted_at)) from dashboard.annotations)
    ) as entries
from ops.ops_freshness as freshness
cross join ops.bucket as bucket
