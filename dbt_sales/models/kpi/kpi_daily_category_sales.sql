{{ config(
    materialized='incremental',
    incremental_strategy='replace_dates',
    on_schema_change='fail',
    indexes=[{'columns': ['sale_date', 'product_category', 'currency'], 'unique': true}],
) }}

with lines as (
    select * from {{ ref('fct_sales_lines') }}
    where {{ is_affected('sale_date') }}
),

totals as (
    select
        sale_date,
        product_category,
        currency,
        {{ distinct_orders() }} as orders,
        {{ line_measures() }}
    from lines
    group by sale_date, product_category, currency
),

final as (
    select
        sale_date,
        product_category,
        currency,
        gross_sales,
        discounts,
        returns,
        net_sales,
        orders,
        units_sold,
        returned_units,
        cost_amount,
        gross_margin,
        costed_net_sales,
        cancelled_value,
        lines
    from totals
)

select * from final
