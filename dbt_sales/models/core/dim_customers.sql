{{ config(
    materialized='incremental',
    keep='last_line_date is not null',
    unique_key=['customer_id'],
    indexes=[{'columns': ['customer_id'], 'unique': true}],
) }}

{{ dimension_from_lines('customer_id', ['customer_name'], days=ref('fct_customer_days')) }}
