select
    newest.currency,
    min(sales.sale_date) as first_date,
    newest.sale_date as last_date,
    max(sales.sale_date) as latest_date,
    coalesce(sum(sales.lines) filter (where sales.sale_date > newest.sale_date), 0)::bigint as lines_ahead,
    newest.complete_until,
    newest.lines,
    newest.usual_lines,
    sum(sales.net_sales) as net_sales
from kpi.kpi_daily_category_sales as sales -- the smallest daily mart that holds every line
inner join kpi.kpi_newest_days as newest on newest.currency = sales.currency
group by newest.currency, newest.sale_date, newest.complete_until, newest.lines, newest.usual_lines
order by net_sales desc, newest.currency
