{{ config(
    materialized='incremental',
    served=true,
    indexes=[
        {'columns': ['sale_date', 'product_id', 'currency'], 'unique': true},
        {'columns': ['product_id', 'sale_date']},
    ],
) }}

{% set lines = affected(ref('fct_sales_lines')) %}

with totals as (
    select
        sale_date,
        product_id,
        currency,
        {{ distinct_orders() }} as orders,
        {{ line_measures() }}
    from {{ lines }} as line
    group by sale_date, product_id, currency
),

-- A product is called what the day's own sheet calls it, so that a later renaming leaves rebuilt and old days alike.
names as (
    select
        sale_date,
        product_id,
        product_name,
        product_category,
        row_number() over (
            partition by sale_date, product_id
            order by product_name = 'unknown', product_category = 'unknown', sold_at desc, file_id desc, row_number desc
        ) as nth
    from {{ lines }} as line
),

final as (
    select
        totals.*,
        names.product_name,
        names.product_category
    from totals
    inner join names
        on totals.sale_date = names.sale_date and totals.product_id = names.product_id and names.nth = 1
)

select * from final
