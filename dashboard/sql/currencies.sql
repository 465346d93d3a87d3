select
    currency,
    min(sale_date) as first_date,
    max(sale_date) as last_date,
    sum(net_sales) as net_sales
from kpi.kpi_daily_category_sales -- the smallest daily mart that holds every line
group by currency
order by net_sales desc, currency
