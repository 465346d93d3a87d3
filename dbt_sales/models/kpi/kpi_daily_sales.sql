{{ config(
    materialized='incremental',
    served=true,
    indexes=[{
        'columns': ['sale_date', 'store_id', 'sales_region', 'sales_channel', 'sales_representative', 'currency'],
        'unique': true,
    }],
) }}

with lines as (
    select * from {{ affected(ref('fct_sales_lines')) }} as line
),

orders as (
    select * from {{ affected(ref('fct_orders')) }} as sold
),

line_totals as (
    select
        sale_date,
        store_id,
        sales_region,
        sales_channel,
        sales_representative,
        currency,
        sum(adjustment_value) as adjustment_value,
        {{ line_measures() }}
    from lines
    group by sale_date, store_id, sales_region, sales_channel, sales_representative, currency
),

order_totals as (
    select
        sale_date,
        store_id,
        sales_region,
        sales_channel,
        sales_representative,
        currency,
        count(*) filter (where order_status = 'completed') as orders,
        count(*) filter (where order_status = 'cancelled') as cancelled_orders
    from orders
    group by sale_date, store_id, sales_region, sales_channel, sales_representative, currency
),

-- Every order has its place from one of the lines, so no order is lost in this join.
final as (
    select
        line_totals.*,
        coalesce(order_totals.orders, 0) as orders,
        coalesce(order_totals.cancelled_orders, 0) as cancelled_orders
    from line_totals
    left join order_totals
        on
            line_totals.sale_date = order_totals.sale_date
            and line_totals.store_id = order_totals.store_id
            and line_totals.sales_region = order_totals.sales_region
            and line_totals.sales_channel = order_totals.sales_channel
            and line_totals.sales_representative = order_totals.sales_representative
            and line_totals.currency = order_totals.currency
)

select * from final
