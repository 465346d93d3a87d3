{{ config(materialized='view') }}

with orders as (
    select * from {{ ref('fct_orders') }}
),

final as (
    select
        sale_date,
        feed,
        sale_id,
        order_status
    from orders
)

select * from final
