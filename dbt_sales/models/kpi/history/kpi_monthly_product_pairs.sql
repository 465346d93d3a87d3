{{ config(
    materialized='incremental',
    served=true,
    indexes=[
        {'columns': ['month', 'product_a', 'product_b'], 'unique': true},
    ],
) }}

with baskets as (
    select
        date_trunc('month', sale_date)::date as month,
        array_agg(distinct product_id) as products
    from {{ whole(ref('fct_sales_lines')) }} as line
    where line_type = 'sale'
    group by sale_date, sale_id, feed -- as in fct_orders: what differs most comes first
    having cardinality(array_agg(distinct product_id)) <= {{ var('max_basket_products') }}
),

month_orders as (
    select
        month,
        count(*) as orders
    from baskets
    group by month
),

product_orders as (
    select
        baskets.month,
        item.product_id,
        count(*) as orders
    from baskets
    cross join {{ items('baskets.products') }} as item (product_id)
    group by baskets.month, item.product_id
),

pairs as (
    select
        baskets.month,
        one.product_id as product_a,
        other.product_id as product_b,
        count(*) as orders
    from baskets
    cross join {{ items('baskets.products') }} as one (product_id)
    cross join {{ items('baskets.products') }} as other (product_id)
    where cardinality(baskets.products) > 1 and one.product_id < other.product_id
    group by baskets.month, one.product_id, other.product_id
    having count(*) >= {{ var('min_pair_orders') }}
),

-- Each pair has all three. Outer joins keep their order: the planner knows nothing of how few pairs are left, and would
-- join every product of a month with every other first.
final as (
    select
        pairs.*,
        month_orders.orders as all_orders,
        with_a.orders as orders_a,
        with_b.orders as orders_b
    from pairs
    left join month_orders on pairs.month = month_orders.month
    left join product_orders as with_a on pairs.month = with_a.month and pairs.product_a = with_a.product_id
    left join product_orders as with_b on pairs.month = with_b.month and pairs.product_b = with_b.product_id
)

select * from final
