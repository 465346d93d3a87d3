{{ config(materialized='view') }}

with pairs as (
    select * from {{ ref('kpi_monthly_product_pairs') }}
    where orders >= {{ var('min_pair_orders') }}
),

-- Not materialized, as it would be for its two uses: a question about one month would sum up all months.
product_orders as not materialized (
    select
        month,
        product_id,
        sum(orders) as orders
    from {{ ref('kpi_monthly_product_sales') }}
    group by month, product_id
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
    inner join product_orders as with_a on pairs.month = with_a.month and pairs.product_a = with_a.product_id
    inner join product_orders as with_b on pairs.month = with_b.month and pairs.product_b = with_b.product_id
)

select * from final
