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

{# Lines without a customer have no history, so only the affected dates of these can change. #}
{% set members %}
    (select customer_id from ({{ affected_customers(orders) }}) as touched where customer_id != 'unknown')
{% endset %}
{% set orders_before %}
    ({{ known_of(members, orders) }} union all select * from {{ replaced(orders) }} as sold)
{% endset %}
{% set orders_after %}
    {%- if increments() -%}
    ({{ known_of(members, orders) }} union all select * from {{ next_of(orders) }} as sold)
    {%- else -%}
    {{ whole(orders) }}
    {%- endif -%}
{% endset %}

{{ maintained_sums(
    keys=['sale_date', 'currency', 'customer_type'],
    sums=['customers', 'orders', 'order_value'],
    new=daily_customer_sums(orders_after),
    old=daily_customer_sums(orders_before),
) }}
