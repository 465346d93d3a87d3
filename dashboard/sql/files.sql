select
    file_id, key, feed, status, event_at, loaded_at, modelled_at, arrival_to_mart_seconds,
    rows_read, rows_loaded, rows_rejected, rows_skipped, rows_waiting, attempts, events, size_bytes, error, warning
from ops.ops_load_history
where cardinality(cast(:statuses as text [])) = 0 or status = any(cast(:statuses as text []))
order by received_at desc, file_id desc
limit :limit offset :offset
