select
    sale_date,
    sum(gross_sales) as gross_sales,
    sum(discounts) as discounts,
    sum(returns) as returns,
    sum(net_sales) as net_sales,
    sum(orders) as orders,
    sum(units_sold) as units_sold,
    sum(gross_margin) as gross_margin,
    sum(costed_net_sales) as costed_net_sales
from kpi.kpi_daily_sales
where
    sale_date between :start and :end
    and currency = :currency
    and (cardinality(cast(:regions as text [])) = 0 or sales_region = any(cast(:regions as text [])))
    and (cardinality(cast(:channels as text [])) = 0 or sales_channel = any(cast(:channels as text [])))
group by sale_date
order by sale_date
