{{ config(
    materialized='incremental',
    incremental_strategy='replace_members',
    on_schema_change='fail',
    unique_key='sales_representative',
    indexes=[
        {'columns': ['sales_representative'], 'unique': true},
        {'columns': ['first_line_date']},
        {'columns': ['last_line_date']},
    ],
) }}

{{ dimension_from_lines('sales_representative', ['sales_region']) }}
