{{ config(
    materialized='incremental',
    served=true,
    indexes=[{'columns': ['sale_date', 'product_category', 'currency'], 'unique': true}],
) }}

with lines as (
    select * from {{ affected(ref('fct_sales_lines')) }} as line
),

final as (
    select
        sale_date,
        product_category,
        currency,
        {{ distinct_orders() }} as orders,
        {{ line_measures() }}
    from lines
    group by sale_date, product_category, currency
)

select * from final
