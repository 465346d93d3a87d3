select
    (select count(*) from ops.ops_load_history where event_at >= :since) as files_since,
    (select coalesce(sum(rows_read), 0) from ops.ops_load_history where status in ('loaded', 'rejected')) as rows_read,
    (select count(*) from ops.ops_rejected_rows where file_status in ('loaded', 'rejected')) as rejected_rows,
    (
        select coalesce(sum(revenue_at_risk), 0)
        from ops.ops_rejected_rows
        where file_status in ('loaded', 'rejected')
    ) as revenue_at_risk
