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

{# Orders without a customer have no history, so only those of the affected dates can change. #}
{% set members %}
(select customer_id from ({{ affected_customers(orders) }}) as touched where customer_id != 'unknown')
{% endset %}

{% set columns %}
customer_id, sale_date, ordered_at, feed, sale_id, currency, order_status, gross_amount, discount_amount
{% endset %}

{{ maintained_sums(
    keys=['sale_date', 'currency', 'customer_type'],
    sums=['customers', 'orders', 'order_value'],
    new=daily_customer_sums(history_after(orders, columns)),
    old=daily_customer_sums(history_before(orders, columns)),
    known=known_of(members, orders, columns, ordered="first.order_status = 'completed'"),
) }}
