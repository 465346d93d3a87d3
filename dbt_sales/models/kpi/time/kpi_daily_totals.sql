{{ config(materialized='view') }}

with totals as (
    select
        sale_date,
        currency,
        {{ totals(measures_of_lines() | list + ['orders', 'cancelled_orders', 'adjustment_value']) }}
    from {{ ref('kpi_daily_sales') }}
    group by sale_date, currency
),

final as (
    select
        *,
        {{ rates() }}
    from totals
)

select * from final
