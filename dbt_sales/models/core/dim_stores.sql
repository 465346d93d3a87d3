{{ config(
    materialized='incremental',
    incremental_strategy='replace_members',
    on_schema_change='fail',
    unique_key='store_id',
    indexes=[
        {'columns': ['store_id'], 'unique': true},
        {'columns': ['first_line_date']},
        {'columns': ['last_line_date']},
    ],
) }}

{{ dimension_from_lines('store_id', ['sales_region']) }}
