{{ config(
    materialized='incremental',
    incremental_strategy='replace_dates',
    on_schema_change='fail',
    next_statistics=['sale_date', 'sale_id', 'line_type', 'customer_id', 'product_id'],
    indexes=[
        {'columns': ['file_id', 'row_number'], 'unique': true},
        {'columns': ['sale_date']},
        {'columns': ['customer_id', 'sale_date']},
        {'columns': ['product_id', 'sale_date']},
        {'columns': ['store_id', 'sale_date']},
        {'columns': ['sales_region', 'sale_date']},
        {'columns': ['sales_representative', 'sale_date']},
    ],
    post_hook="create index on {{ this }} (sale_id) where line_type = 'return'",
) }}

select *
from {{ ref('int_sales_lines__valued') }}
where {{ is_affected('sale_date') }}
