select
    mart_version, published_at, last_event_at, last_loaded_at, last_modelled_at, files_waiting, files_warned,
    dates_waiting, last_run_status, last_run_error, waiting_since, latency_p50_seconds, latency_p95_seconds
from ops.ops_freshness
