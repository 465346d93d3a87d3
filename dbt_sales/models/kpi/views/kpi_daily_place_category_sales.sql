{{ config(materialized='view') }}

-- Summed when it is asked for: of a category in one place, which is seldom looked at over many dates.
with lines as (
    select * from {{ ref('fct_sales_lines') }}
),

final as (
    select
        sale_date,
        store_id,
        sales_region,
        sales_channel,
        sales_representative,
        product_category,
        currency,
        {{ distinct_orders() }} as orders,
        {{ line_measures() }}
    from lines
    group by sale_date, store_id, sales_region, sales_channel, sales_representative, product_category, currency
)

select * from final
