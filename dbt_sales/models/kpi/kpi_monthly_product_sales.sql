{{ config(
    materialized='incremental',
    unique_key=['month', 'product_id', 'currency'],
    keep='lines != 0',
    indexes=[
        {'columns': ['month', 'product_id', 'currency'], 'unique': true},
    ],
) }}

{% set days = ref('kpi_daily_product_sales') %}

{{ maintained_sums(
    keys=['month', 'product_id', 'currency'],
    sums=['orders'] + line_sums(),
    new=monthly_product_sums(incoming(days)),
    old=monthly_product_sums(replaced(days)),
    nulls={'cost_amount': 'costed_lines', 'gross_margin': 'costed_lines'},
) }}
