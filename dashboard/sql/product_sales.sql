with sold as (
    select
        product_id, product_name, product_category, sale_date, net_sales, units_sold,
        sale_date between :start and :end as is_current
    from kpi.kpi_daily_product_sales
    where
        currency = :currency
        and (sale_date between :start and :end or sale_date between :past_start and :past_end)
)

select
    product_id,
    (array_agg(product_name order by sale_date desc))[1] as product_name,
    (array_agg(product_category order by sale_date desc))[1] as product_category,
    coalesce(sum(net_sales) filter (where is_current), 0) as net_sales,
    coalesce(sum(units_sold) filter (where is_current), 0) as units_sold,
    coalesce(sum(net_sales) filter (where sale_date between :past_start and :past_end), 0) as net_sales_before
from sold
group by product_id
order by net_sales desc, product_id
