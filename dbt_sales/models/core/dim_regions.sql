{{ config(materialized='view') }}

with lines as (
    select * from {{ ref('fct_sales_lines') }}
),

final as (
    select
        sales_region,
        min(sale_date) as first_line_date,
        max(sale_date) as last_line_date
    from lines
    group by sales_region
)

select * from final
