{{ config(
    materialized='incremental',
    keep='last_line_date is not null',
    unique_key=['product_id'],
    indexes=[{'columns': ['product_id'], 'unique': true}],
) }}

{{ dimension_from_lines('product_id', ['product_name', 'product_category'], ['unit_price']) }}
