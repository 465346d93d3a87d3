select
    (select count(*) from ops.ops_load_history where event_at >= :since) as files_since,
    (select coalesce(sum(rows_read), 0) from ops.ops_load_history where status in ('loaded', 'rejected')) as rows_read,
    at_risk.rejected_rows,
    at_risk.revenue_at_risk
from (
    select
        coalesce(sum(rejected_rows), 0) as rejected_rows,
        coalesce(sum(revenue_at_risk), 0) as revenue_at_risk
    from ops.ops_revenue_at_risk
    where file_status in ('loaded', 'rejected')
) as at_risk
