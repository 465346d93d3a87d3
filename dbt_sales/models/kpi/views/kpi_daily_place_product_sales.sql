{{ config(materialized='view') }}

-- The finest grain, nearly a row a line: summed when it is asked for, of the few dates that anybody asks it for.
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
        product_id,
        product_category,
        currency,
        {{ distinct_orders() }} as orders,
        {{ line_measures() }}
    from lines
    group by
        sale_date, store_id, sales_region, sales_channel, sales_representative, product_id, product_category, currency
)

select * from final
