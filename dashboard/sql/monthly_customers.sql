select
    month,
    customers,
    new_customers,
    repeat_customers,
    orders,
    repeat_rate,
    orders_per_customer,
    is_first_month,
    is_month_complete
from (
    select *
    from kpi.kpi_monthly_customers
    where currency = :currency
    order by month desc
    limit 24
) as latest
order by month
