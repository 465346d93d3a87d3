-- What changed most first, with the effects of all products beside those of each.
select
    product_id,
    net_sales,
    base_net_sales,
    net_sales_change,
    volume_effect,
    price_effect,
    mix_effect,
    is_month_complete,
    last_day,
    base_last_day,
    sum(net_sales) over () as total_net_sales,
    sum(base_net_sales) over () as total_base_net_sales,
    sum(volume_effect) over () as total_volume_effect,
    sum(price_effect) over () as total_price_effect,
    sum(mix_effect) over () as total_mix_effect,
    count(*) over () as products
from kpi.kpi_price_volume_mix
where currency = :currency and month = :month and comparison = :comparison
order by abs(net_sales_change) desc, product_id
limit :limit
