select run_id, status, started_at, seconds, dates, files, mart_version, error
from ops.ops_dbt_runs
order by run_id desc
limit 50
