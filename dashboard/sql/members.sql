-- Of each dimension what has been sold under in this currency. Indexes make neither quick, but both marts are small.
with places as (
    select distinct sales_region, sales_channel, store_id, sales_representative
    from kpi.kpi_daily_sales
    where currency = :currency
)

select
    coalesce(array_agg(distinct sales_region order by sales_region), '{}') as region,
    coalesce(array_agg(distinct sales_channel order by sales_channel), '{}') as channel,
    coalesce(array_agg(distinct store_id order by store_id), '{}') as store,
    coalesce(array_agg(distinct sales_representative order by sales_representative), '{}') as rep,
    (
        select coalesce(array_agg(distinct product_category order by product_category), '{}')
        from kpi.kpi_daily_category_sales
        where currency = :currency
    ) as category
from places
