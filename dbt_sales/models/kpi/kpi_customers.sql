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

{% set affected_members %}
    select customer_id from {{ next_of(days) }}
    union
    select customer_id from losing
    union
    select customer_id from crossing
{% endset %}
{% set all_members = 'select distinct customer_id from ' ~ whole(days) ~ ' as day' %}

{# What a row of days adds to a customer. -#}
{% set contribution -%}
        customer_id,
        currency,
        case when orders > 0 then sale_date end as first_order_date,
        case when orders > 0 then sale_date end as last_order_date,
        orders,
        units_sold,
        net_sales,
        case when sale_date > (select window_start from bounds) then orders else 0 end as window_orders,
        case when sale_date > (select window_start from bounds) then net_sales else 0 end as window_net_sales
{%- endset %}

with bounds as (
    select
        max(sale_date) - {{ var('customer_window_days') }} as window_start,
        (
            select max(sale_date) from (select * from {{ calendar }}) as published
        ) - {{ var('customer_window_days') }} as published_window_start
    from {{ whole(calendar) }} as day
),

{% if increments() -%}
losing as (
    select distinct customer_id
    from {{ days }}
    where sale_date = any({{ affected_dates() }})
),

-- They leave the window as it moves on, or come back into it.
crossing as (
    select
        day.*,
        case when bounds.window_start < bounds.published_window_start then 1 else -1 end as direction
    from {{ days }} as day
    cross join bounds
    where
        day.sale_date > least(bounds.window_start, bounds.published_window_start)
        and day.sale_date <= greatest(bounds.window_start, bounds.published_window_start)
),

{% endif -%}
members as (
    {{ affected_members if increments() else all_members }}
),

{% if increments() -%}
published as (
    select row_of_member.*
    from members
    cross join lateral (
        select * from {{ this }} as kept where kept.customer_id = members.customer_id offset 0
    ) as row_of_member
),

-- Of whom days are taken away, or who has no row to start from: from all days. The others: their row, and what comes to it.
recounted as (
    select customer_id from losing
    union
    (select customer_id from {{ next_of(days) }} except select customer_id from published)
),

known as (
    {{ known_of('recounted', days, columns) }}
),

{% endif -%}
parts as (
    select
        {{ contribution }}
    from {{ history_after(days, columns) }} as day
    {% if increments() -%}
    union all
    select
        customer_id,
        currency,
        null as first_order_date,
        null as last_order_date,
        0 as orders,
        0 as units_sold,
        0 as net_sales,
        direction * orders as window_orders,
        direction * net_sales as window_net_sales
    from crossing
    where customer_id not in (select customer_id from recounted)
    union all
    select
        customer_id,
        currency,
        first_order_date,
        last_order_date,
        orders,
        units_sold,
        net_sales,
        window_orders,
        window_net_sales
    from published
    where customer_id not in (select customer_id from recounted)
    {%- endif %}
),

totals as (
    select
        customer_id,
        currency,
        min(min(first_order_date)) over (partition by customer_id) as first_order_date,
        max(max(last_order_date)) over (partition by customer_id) as last_order_date,
        sum(orders)::bigint as orders,
        sum(units_sold) as units_sold,
        sum(net_sales) as net_sales,
        sum(window_orders)::bigint as window_orders,
        sum(window_net_sales) as window_net_sales
    from parts
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
