{# The second index tells kpi_rfm_segments which customers of one band of net sales spend more than an amount. Migration
   0009 gives it to a table that is there already. #}
{{ config(
    materialized='incremental',
    unique_key=['customer_id'],
    keep='currency is not null',
    grants={'select': ['dashboard_customers']},
    indexes=[
        {'columns': ['customer_id', 'currency'], 'unique': true},
    ],
    meta={'more_indexes': {
        'kpi_customers_bands': '(currency, (' ~ sales_band('window_net_sales') ~ '), window_net_sales, last_order_date, '
            ~ 'window_orders) where window_orders > 0',
    }},
) }}

{% set days = ref('fct_customer_days') %}
{% set columns = 'customer_id, sale_date, currency, orders, units_sold, net_sales' %}
{% set calendar = ref('kpi_daily_category_sales') %}

with bounds as (
    select max(sale_date) - {{ var('customer_window_days') }} as window_start
    from {{ whole(calendar) }} as day
),

{% if increments() -%}
published_bounds as (
    select max(sale_date) - {{ var('customer_window_days') }} as window_start
    from (select * from {{ calendar }}) as day
),

{% endif -%}
-- Of whom days come or go, or leave the window as it moves, or come back into it.
members as (
    {% if increments() -%}
    {{ affected_customers(days) }}
    union
    select day.customer_id
    from {{ days }} as day
    cross join bounds
    cross join published_bounds
    where
        day.sale_date > least(bounds.window_start, published_bounds.window_start)
        and day.sale_date <= greatest(bounds.window_start, published_bounds.window_start)
    {% else -%}
    select distinct customer_id from {{ whole(days) }} as day
    {%- endif %}
),

{% if increments() -%}
known as (
    {{ known_of('members', days, columns) }}
),

{% endif -%}
totals as (
    select
        customer_id,
        currency,
        min(min(sale_date) filter (where orders > 0)) over (partition by customer_id) as first_order_date,
        max(max(sale_date) filter (where orders > 0)) over (partition by customer_id) as last_order_date,
        sum(orders)::bigint as orders,
        sum(units_sold) as units_sold,
        sum(net_sales) as net_sales,
        coalesce(sum(orders) filter (where sale_date > bounds.window_start), 0)::bigint as window_orders,
        coalesce(sum(net_sales) filter (where sale_date > bounds.window_start), 0) as window_net_sales
    from {{ history_after(days, columns) }} as day
    cross join bounds
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
