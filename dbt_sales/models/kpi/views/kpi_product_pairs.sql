{{ config(materialized='view') }}

select
    month,
    product_a,
    product_b,
    orders,
    {{ ratio('orders', 'all_orders') }} as support,
    {{ ratio('orders', 'orders_a') }} as confidence_a_to_b,
    {{ ratio('orders', 'orders_b') }} as confidence_b_to_a,
    {{ ratio('orders * all_orders', 'orders_a * orders_b') }} as lift
from {{ ref('kpi_monthly_product_pairs') }}
