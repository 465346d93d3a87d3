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

{% set columns = 'customer_id, sale_date, currency, orders, net_sales' %}

{{ maintained_sums(
    keys=['cohort_month', 'month', 'currency'],
    sums=['active_customers', 'repeat_customers', 'orders', 'net_sales', 'customers'],
    new=cohort_month_sums(history_after(days, columns)),
    old=cohort_month_sums(history_before(days, columns)),
    known=known_of(members, days, columns, ordered='first.orders > 0', since=first_affected_month()),
) }}
