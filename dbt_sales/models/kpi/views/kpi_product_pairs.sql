{{ config(materialized='view') }}

select
    month,
    product_a,
    product_b,
    orders,
    orders::numeric / all_orders as support,
    orders::numeric / orders_a as confidence_a_to_b,
    orders::numeric / orders_b as confidence_b_to_a,
    orders::numeric * all_orders / (orders_a::numeric * orders_b) as lift
from {{ ref('kpi_monthly_product_pairs') }}
