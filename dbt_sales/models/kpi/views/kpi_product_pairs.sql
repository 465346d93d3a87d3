{{ config(materialized='view') }}

with pairs as (
    select * from {{ ref('kpi_monthly_product_pairs') }}
    where orders >= {{ var('min_pair_orders') }}
),

product_sales as not materialized (
    select * from {{ ref('kpi_monthly_product_sales') }}
),

-- Materialized: planned as part of the join, a question about one month would sum all days again for each of its pairs.
month_orders as materialized (
    select
        date_trunc('month', sale_date)::date as month,
        sum(orders) as orders
    from {{ ref('kpi_daily_sales') }}
    group by date_trunc('month', sale_date)::date
),

final as (
    select
        pairs.month,
        pairs.product_a,
        pairs.product_b,
        pairs.orders,
        pairs.orders / nullif(month_orders.orders, 0) as support,
        pairs.orders / nullif(with_a.orders, 0) as confidence_a_to_b,
        pairs.orders / nullif(with_b.orders, 0) as confidence_b_to_a,
        pairs.orders * month_orders.orders / nullif(with_a.orders * with_b.orders, 0) as lift
    from pairs
    inner join month_orders on pairs.month = month_orders.month
    {{ orders_of_product('pairs.product_a', 'with_a') }}
    {{ orders_of_product('pairs.product_b', 'with_b') }}
)

select * from final
