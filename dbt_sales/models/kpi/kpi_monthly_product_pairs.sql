{{ config(
    materialized='incremental',
    incremental_strategy='replace_members',
    unique_key=['month', 'product_a', 'product_b'],
    keep='orders != 0',
    on_schema_change='fail',
    indexes=[
        {'columns': ['month', 'product_a', 'product_b'], 'unique': true},
    ],
    post_hook="create index on {{ this }} (month) where orders >= {{ var('min_pair_orders') }}",
) }}

{% set lines = ref('fct_sales_lines') %}

{{ maintained_sums(
    keys=['month', 'product_a', 'product_b'],
    sums=['orders'],
    new=monthly_pair_sums(incoming(lines)),
    old=monthly_pair_sums(replaced(lines)),
) }}
