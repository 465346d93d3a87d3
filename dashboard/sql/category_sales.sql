select
    product_category,
    sum(net_sales) as net_sales
from kpi.kpi_daily_category_sales
where sale_date between :start and :end and currency = :currency
group by product_category
order by net_sales desc, product_category
