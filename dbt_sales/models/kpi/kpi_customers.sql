{# The second index tells kpi_rfm_segments which customers of one band of net sales spend more than an amount. #}
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
    select
        currency,
        max(sale_date) - {{ var('customer_window_days') }} as window_start
    from {{ whole(calendar) }} as day
    group by currency
),

{% if increments() -%}
published_bounds as (
    select
        currency,
        max(sale_date) - {{ var('customer_window_days') }} as window_start
    from (select * from {{ calendar }}) as day
    group by currency
),

{% endif -%}
-- Of whom days come or go, or leave the window as it moves, or come back into it.
members as (
    {% if increments() %}
        {{ affected_customers(days) }}
        union
        select crossing.customer_id
        from bounds
        inner join published_bounds on bounds.currency = published_bounds.currency
        cross join lateral (
            select customer_id
            from {{ days }} as day
            where
                day.currency = bounds.currency
                and day.sale_date > least(bounds.window_start, published_bounds.window_start)
                and day.sale_date <= greatest(bounds.window_start, published_bounds.window_start)
            offset 0
        ) as crossing
    {% else %}
        select distinct customer_id from {{ whole(days) }} as day
    {% endif %}
),

{% if increments() -%}
known as (
    {{ known_of('members', days, columns) }}
),

{% endif -%}
totals as (
    select
        day.customer_id,
        day.currency,
        min(min(day.sale_date) filter (where day.orders > 0)) over (partition by day.customer_id) as first_order_date,
        max(max(day.sale_date) filter (where day.orders > 0)) over (partition by day.customer_id) as last_order_date,
        sum(day.orders)::bigint as orders,
        sum(day.units_sold) as units_sold,
        sum(day.net_sales) as net_sales,
        coalesce(sum(day.orders) filter (where day.sale_date > bounds.window_start), 0)::bigint as window_orders,
        coalesce(sum(day.net_sales) filter (where day.sale_date > bounds.window_start), 0) as window_net_sales
    from {{ history_after(days, columns) }} as day
    inner join bounds on day.currency = bounds.currency
    group by day.customer_id, day.currency
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
