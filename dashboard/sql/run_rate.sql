select month, net_sales, share_elapsed, run_rate, run_rate_low, run_rate_high, previous_month_net_sales, target_net_sales
from (
    select
        rate.*,
        (
            select sum(target.target_net_sales)
            from kpi.kpi_target_attainment as target
            where target.month = rate.month and target.currency = rate.currency and target.place_type = 'sales_region'
        ) as target_net_sales
    from kpi.kpi_monthly_run_rate as rate
    where rate.currency = :currency
    order by rate.month desc
    limit 12
) as latest
order by month
