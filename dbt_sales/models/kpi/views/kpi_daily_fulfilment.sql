{{ config(materialized='view') }}

with sales as (
    select * from {{ ref('kpi_daily_sales') }}
),

totals as (
    select
        sale_date,
        sales_region,
        sales_channel,
        currency,
        sum(delivered_lines)::bigint as delivered_lines,
        sum(delivered_on_time_lines)::bigint as delivered_on_time_lines,
        sum(delivery_days)::bigint as delivery_days,
        sum(pending_payment_value) as pending_payment_value
    from sales
    group by sale_date, sales_region, sales_channel, currency
),

final as (
    select
        *,
        {{ ratio('delivered_on_time_lines', 'delivered_lines') }} as on_time_rate,
        {{ ratio('delivery_days', 'delivered_lines') }} as days_to_deliver
    from totals
)

select * from final
