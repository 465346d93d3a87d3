{{ config(
    materialized='incremental',
    incremental_strategy='replace_members',
    unique_key=['sale_date', 'currency', 'customer_type'],
    keep='orders != 0',
    on_schema_change='fail',
    indexes=[
        {'columns': ['sale_date', 'currency', 'customer_type'], 'unique': true},
    ],
) }}

{% set orders = ref('fct_orders') %}
{% set days = ref('fct_customer_days') %}

{# Orders without a customer have no history, so only those of the affected dates can change. #}
{% set members %}
(select customer_id from ({{ affected_customers(orders) }}) as touched where customer_id != 'unknown')
{% endset %}

{% set columns %}
customer_id, sale_date, ordered_at, feed, sale_id, currency, order_status, gross_amount, discount_amount
{% endset %}

{# Of what stays, what tells a first order: the orders of the first day. Where that is before all affected dates, that
   there was one: whatever it is, it counts the same before and after. #}
{% set known %}
select known.*
from (
    select distinct customer_id, sale_date
    from ({{ known_of(members, days, 'customer_id, sale_date, orders', ordered='first.orders > 0') }}) as first_days
    where orders > 0
) as first
cross join lateral (
    select
        first.customer_id,
        first.sale_date,
        null::timestamptz as ordered_at,
        '' as feed,
        '' as sale_id,
        '' as currency,
        'completed' as order_status,
        0 as gross_amount,
        0 as discount_amount
    where first.sale_date < all({{ affected_dates() }})
    union all
    (
        select {{ columns }}
        from {{ orders }} as sold
        where
            sold.customer_id = first.customer_id
            and sold.sale_date = first.sale_date
            and not first.sale_date < all({{ affected_dates() }})
        offset 0
    )
) as known
{% endset %}

{{ maintained_sums(
    keys=['sale_date', 'currency', 'customer_type'],
    sums=['customers', 'orders', 'order_value'],
    new=daily_customer_sums(history_after(orders, columns)),
    old=daily_customer_sums(history_before(orders, columns)),
    known=known,
) }}
