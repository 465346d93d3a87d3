-- A class without a product has no row.
select
    abc_class,
    count(*) as products,
    sum(net_sales) as net_sales,
    sum(sales_share) as sales_share,
    count(*) / sum(count(*)) over () as product_share,
    max(last_month) as last_month
from kpi.kpi_product_abc
where currency = :currency
group by abc_class
order by abc_class
