{{ config(
    materialized='incremental',
    indexes=[
        {'columns': ['sale_date', 'product_id', 'currency'], 'unique': true},
        {'columns': ['product_id', 'sale_date']},
    ],
) }}

with lines as (
    select * from {{ affected(ref('fct_sales_lines')) }} as line
),

totals as (
    select
        sale_date,
        product_id,
        currency,
        {{ distinct_orders() }} as orders,
        {{ line_measures() }}
    from lines
    group by sale_date, product_id, currency
),

-- A product is called what the day's own sheet calls it, so that a later renaming leaves rebuilt and old days alike.
names as (
    select distinct on (sale_date, product_id)
        sale_date,
        product_id,
        product_name,
        product_category
    from lines
    order by
        sale_date asc,
        product_id asc,
        product_name = 'unknown' asc,
        product_category = 'unknown' asc,
        sold_at desc,
        file_id desc,
        row_number desc
),

final as (
    select
        totals.*,
        names.product_name,
        names.product_category
    from totals
    inner join names on totals.sale_date = names.sale_date and totals.product_id = names.product_id
)

select * from final
