{{ config(
    materialized='incremental',
    unique_key=['sale_date', 'currency', 'customer_type'],
    keep='orders != 0',
    indexes=[
        {'columns': ['sale_date', 'currency', 'customer_type'], 'unique': true},
    ],
) }}

{% set orders = ref('fct_orders') %}

{% set columns %}
customer_id, sale_date, ordered_at, feed, sale_id, currency, order_status, gross_amount, discount_amount
{% endset %}

{# Orders without a customer have no history: only those of the affected dates can change. Of a customer, what tells a
   first order: that there was one before all affected dates, or the orders of the day of the first. #}
{% set known %}
select known.*
from ({{ first_orders_that_stay(affected_customers(orders), ref('fct_customer_days')) }}) as first
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
    sums=['customers', 'orders', 'sold_value'],
    new=daily_customer_sums(history_after(orders, columns)),
    old=daily_customer_sums(history_before(orders, columns)),
    known=known,
) }}
