select
    sales.currency,
    sales.first_date,
    sales.last_date,
    newest.complete_until,
    newest.lines,
    newest.usual_lines,
    sales.net_sales
from (
    select
        currency,
        min(sale_date) as first_date,
        max(sale_date) as last_date,
        sum(net_sales) as net_sales
    from kpi.kpi_daily_category_sales -- the smallest daily mart that holds every line
    group by currency
) as sales
inner join kpi.kpi_newest_days as newest on newest.currency = sales.currency
order by sales.net_sales desc, sales.currency
