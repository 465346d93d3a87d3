{{ config(
    materialized='incremental',
    incremental_strategy='replace_members',
    unique_key=['customer_id'],
    keep='currency is not null',
    on_schema_change='fail',
    grants={'select': ['dashboard_customers']},
    indexes=[
        {'columns': ['customer_id', 'currency'], 'unique': true},
    ],
) }}

{% set days = ref('fct_customer_days') %}
{% set columns = 'customer_id, sale_date, currency, orders, units_sold, net_sales' %}
{% set calendar = ref('kpi_daily_category_sales') %}

{# Beside those of the affected dates: customers with days that leave the window, or come back into it. #}
{% set affected_members %}
{{ affected_customers(days) }}
union
select day.customer_id
from {{ days }} as day
cross join bounds
where
    day.sale_date > least(bounds.window_start, bounds.published_window_start)
    and day.sale_date <= greatest(bounds.window_start, bounds.published_window_start)
{% endset %}
{% set all_members = 'select distinct customer_id from ' ~ whole(days) ~ ' as day' %}

with bounds as (
    select
        max(sale_date) - {{ var('customer_window_days') }} as window_start,
        (
            select max(sale_date) from (select * from {{ calendar }}) as published
        ) - {{ var('customer_window_days') }} as published_window_start
    from {{ whole(calendar) }} as day
),

members as (
    {{ affected_members if increments() else all_members }}
),

{% if increments() -%}
known as (
    {{ known_of('members', days, columns) }}
),

{% endif -%}
history as (
    select * from {{ history_after(days, columns) }} as day
),

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
