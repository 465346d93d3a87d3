{{ config(
    materialized='incremental',
    unique_key=['month', 'product_a', 'product_b'],
    keep='orders != 0',
    indexes=[
        {'columns': ['month', 'product_a', 'product_b'], 'unique': true},
    ],
    meta={'more_indexes': {'kpi_monthly_product_pairs_shown': '(month) where orders >= ' ~ var('min_pair_orders')}},
) }}

{% set lines = ref('fct_sales_lines') %}

{{ maintained_sums(
    keys=['month', 'product_a', 'product_b'],
    sums=['orders'],
    new=monthly_pair_sums(incoming(lines)),
    old=monthly_pair_sums(replaced(lines)),
) }}
