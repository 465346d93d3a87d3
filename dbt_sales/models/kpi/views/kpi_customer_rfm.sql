{{ config(materialized='view', grants={'select': ['dashboard_customers']}) }}

{% set bounds = 'percentile_disc(array[0.2, 0.4, 0.6, 0.8]) within group' %}

with customers as not materialized (
    select * from {{ ref('kpi_customers') }}
    where window_orders > 0
),

as_of as (
    select
        currency,
        max(sale_date) as as_of_date
    from {{ ref('kpi_daily_category_sales') }}
    group by currency
),

fifths as materialized (
    select
        currency,
        {{ bounds }} (order by last_order_date desc) as last_order_dates,
        {{ bounds }} (order by window_orders) as window_orders,
        {{ bounds }} (order by window_net_sales) as window_net_sales
    from customers
    group by currency
),

-- `limit all offset 0`: else each score is found out again wherever it is named.
scored as (
    select
        customers.customer_id,
        as_of.as_of_date,
        customers.currency,
        greatest(as_of.as_of_date - customers.last_order_date, 0) as recency_days,
        customers.window_orders as frequency,
        customers.window_net_sales as monetary,
        5 - ({{ fifths_passed('customers.last_order_date', '<', 'fifths.last_order_dates') }}) as recency_score,
        1 + {{ fifths_passed('customers.window_orders', '>', 'fifths.window_orders') }} as frequency_score,
        1 + {{ fifths_passed('customers.window_net_sales', '>', 'fifths.window_net_sales') }} as monetary_score
    from customers
    inner join as_of on customers.currency = as_of.currency
    inner join fifths on customers.currency = fifths.currency
    limit all offset 0
),

final as (
    select
        *,
        {{ rfm_segment('monetary_score >= 4') }} as segment
    from scored
)

select * from final
