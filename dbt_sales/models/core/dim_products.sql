{{ config(
    materialized='incremental',
    incremental_strategy='replace_members',
    on_schema_change='fail',
    unique_key='product_id',
    indexes=[
        {'columns': ['product_id'], 'unique': true},
        {'columns': ['first_line_date']},
        {'columns': ['last_line_date']},
    ],
) }}

{{ dimension_from_lines('product_id', ['product_name', 'product_category'], ['unit_price']) }}
