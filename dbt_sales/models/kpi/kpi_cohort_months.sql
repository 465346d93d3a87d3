{{ config(
    materialized='incremental',
    incremental_strategy='replace_members',
    unique_key=['cohort_month', 'month', 'currency'],
    keep='customers != 0',
    on_schema_change='fail',
    indexes=[
        {'columns': ['cohort_month', 'month', 'currency'], 'unique': true},
    ],
) }}

{% set days = ref('fct_customer_days') %}

{% set members = '(' ~ affected_customers(days) ~ ')' %}
{% set days_before %}
    ({{ known_of(members, days) }} union all select * from {{ replaced(days) }} as day)
{% endset %}
{% set days_after %}
    {%- if increments() -%}
    ({{ known_of(members, days) }} union all select * from {{ next_of(days) }} as day)
    {%- else -%}
    {{ whole(days) }}
    {%- endif -%}
{% endset %}

{{ maintained_sums(
    keys=['cohort_month', 'month', 'currency'],
    sums=['active_customers', 'repeat_customers', 'orders', 'net_sales', 'customers'],
    new=cohort_month_sums(days_after),
    old=cohort_month_sums(days_before),
) }}
