select
    (select count(*) from ops.ops_load_history where event_at >= :since) as files_since,
    (select coalesce(sum(rows_read), 0) from ops.ops_load_history where status in ('loaded', 'rejected')) as rows_read,
    (
        select coalesce(sum(rejected_rows), 0) from ops.ops_revenue_at_risk
        where file_status in ('loaded', 'rejected')
    ) as rejected_rows
