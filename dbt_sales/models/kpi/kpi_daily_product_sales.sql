{{ config(
    materialized='incremental',
    incremental_strategy='replace_dates',
    on_schema_change='fail',
    indexes=[
        {'columns': ['sale_date', 'product_id', 'currency'], 'unique': true},
        {'columns': ['product_id', 'sale_date']},
    ],
) }}

{% set affected = is_affected('sale_date') %}

with lines as (
    select * from {{ ref('fct_sales_lines') }}
    where {{ affected }}
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
        totals.sale_date,
        totals.product_id,
        names.product_name,
        names.product_category,
        totals.currency,
        totals.gross_sales,
        totals.discounts,
        totals.returns,
        totals.net_sales,
        totals.orders,
        totals.units_sold,
        totals.returned_units,
        totals.cost_amount,
        totals.gross_margin,
        totals.costed_net_sales,
        totals.cancelled_value,
        totals.lines
    from totals
    inner join names on totals.sale_date = names.sale_date and totals.product_id = names.product_id
)

select * from final
