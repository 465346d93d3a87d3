{{ config(
    materialized='incremental',
    incremental_strategy='replace_members',
    on_schema_change='fail',
    unique_key='sales_region',
    indexes=[
        {'columns': ['sales_region'], 'unique': true},
        {'columns': ['first_line_date']},
        {'columns': ['last_line_date']},
    ],
) }}

{{ dimension_from_lines('sales_region') }}
