{# Customers come behind dates: a day's lines are entered side by side, and not each on a page of its own of a large
   index. On which days a customer has lines is told by fct_customer_days. #}
{{ config(
    materialized='incremental',
    next_order='sale_date, product_id',
    indexes=[
        {'columns': ['file_id', 'row_number'], 'unique': true},
        {'columns': ['sale_date', 'customer_id']},
        {'columns': ['product_id', 'sale_date']},
        {'columns': ['store_id', 'sale_date']},
        {'columns': ['sales_region', 'sale_date']},
        {'columns': ['sales_representative', 'sale_date']},
    ],
    meta={'more_indexes': {
        'fct_sales_lines_returns': "(sale_id) where line_type = 'return'",
    }},
) }}

select *
from {{ ref('int_sales_lines__valued') }}
where {{ is_affected('sale_date') }}
