{{ config(
    materialized='incremental',
    unique_key=['customer_id'],
    keep='currency is not null',
    grants={'select': ['dashboard_customers', 'analyst']},
    indexes=[
        {'columns': ['customer_id', 'currency'], 'unique': true},
    ],
) }}

{% set days = ref('fct_customer_days') %}
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

-- Of whom days come or go, or leave the window as it moves, or come back into it.
members as (
    {{ affected_members('customer_id', days) }}
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
    from {{ rows_of('members', 'customer_id', days) if increments() else whole(days) }} as day
    inner join bounds on day.currency = bounds.currency
    where day.customer_id != 'unknown' and day.trades > 0
    group by day.customer_id, day.currency
),

final as (
    select * from totals
    where first_order_date is not null
)

select * from final
{%- if increments() %}
-- A member without an order has no row: one that had, loses it.
right join members using (customer_id)
{%- endif %}
