select month, net_sales, share_elapsed, run_rate, previous_month_net_sales
from (
    select month, net_sales, share_elapsed, run_rate, previous_month_net_sales
    from kpi.kpi_monthly_run_rate
    where currency = :currency
    order by month desc
    limit 12
) as latest
order by month
