{{ config(
    materialized='incremental',
    incremental_strategy='replace_members',
    unique_key=['customer_id'],
    keep='currency is not null',
    on_schema_change='fail',
    indexes=[
        {'columns': ['customer_id', 'currency'], 'unique': true},
    ],
) }}

{% set days = ref('fct_customer_days') %}
{% set calendar = ref('kpi_daily_category_sales') %}

with bounds as (
    select
        (select max(sale_date) from {{ whole(calendar) }} as day) - {{ var('customer_window_days') }} as window_start,
        (select max(sale_date) from {{ calendar }} as day) - {{ var('customer_window_days') }} as published_window_start
),

{% if increments() -%}
-- Beside those of the affected dates: customers with days that leave the window, or come back into it.
members as (
    {{ affected_customers(days) }}
    union
    select customer_id
    from {{ days }} as day
    where
        sale_date > (select least(window_start, published_window_start) from bounds)
        and sale_date <= (select greatest(window_start, published_window_start) from bounds)
),

history as (
    {{ known_of('members', days) }}
    union all
    select * from {{ next_of(days) }} as day
),
{%- else -%}
members as (
    select distinct customer_id from {{ whole(days) }} as day
),

history as (
    select * from {{ whole(days) }} as day
),
{%- endif %}

totals as (
    select
        customer_id,
        currency,
        min(min(sale_date) filter (where orders > 0)) over (partition by customer_id) as first_order_date,
        max(max(sale_date) filter (where orders > 0)) over (partition by customer_id) as last_order_date,
        sum(orders)::bigint as orders,
        sum(units_sold) as units_sold,
        sum(net_sales) as net_sales,
        coalesce(sum(orders) filter (where sale_date > (select window_start from bounds)), 0)::bigint as window_orders,
        coalesce(sum(net_sales) filter (where sale_date > (select window_start from bounds)), 0) as window_net_sales
    from history
    group by customer_id, currency
),

-- A member without an order has no row: one that had, loses it.
final as (
    select
        members.customer_id,
        totals.currency,
        totals.first_order_date,
        totals.last_order_date,
        totals.orders,
        totals.units_sold,
        totals.net_sales,
        totals.window_orders,
        totals.window_net_sales
    from members
    left join totals on members.customer_id = totals.customer_id and totals.first_order_date is not null
)

select * from final
{{ 'where currency is not null' if not increments() }}
