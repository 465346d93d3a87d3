select
    coalesce(array_agg(distinct sales_region order by sales_region), '{}') as regions,
    coalesce(array_agg(distinct sales_channel order by sales_channel), '{}') as channels
from kpi.kpi_daily_sales
where currency = :currency
