{{ config(materialized='view') }}

with products as (
    select * from {{ ref('dim_products') }}
),

final as (
    select
        product_id,
        product_name,
        product_category
    from products
    where last_line_date is not null -- sold under no line that counts any more
)

select * from final
