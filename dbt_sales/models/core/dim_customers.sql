{{ config(
    materialized='incremental',
    incremental_strategy='replace_members',
    on_schema_change='fail',
    unique_key='customer_id',
    indexes=[
        {'columns': ['customer_id'], 'unique': true},
        {'columns': ['first_line_date']},
        {'columns': ['last_line_date']},
    ],
) }}

{{ dimension_from_lines('customer_id', ['customer_name']) }}
