{{ config(
    materialized='incremental',
    served=true,
    indexes=[{
        'columns': [
            'sale_date', 'sale_hour', 'store_id', 'sales_region', 'sales_channel', 'sales_representative', 'currency',
        ],
        'unique': true,
    }],
) }}

with lines as (
    select * from {{ affected(ref('fct_sales_lines')) }} as line
    where sale_hour is not null
),

orders as (
    select * from {{ affected(ref('fct_orders')) }} as sold
    where sale_hour is not null and order_status = 'completed'
),

line_totals as (
    select
        sale_date,
        sale_hour,
        store_id,
        sales_region,
        sales_channel,
        sales_representative,
        currency,
        sum(net_amount) as net_sales,
        count(*) as lines
    from lines
    group by sale_date, sale_hour, store_id, sales_region, sales_channel, sales_representative, currency
),

order_totals as (
    select
        sale_date,
        sale_hour,
        store_id,
        sales_region,
        sales_channel,
        sales_representative,
        currency,
        count(*) as orders
    from orders
    group by sale_date, sale_hour, store_id, sales_region, sales_channel, sales_representative, currency
),

-- Every order has its place and hour from one of the lines, so no order is lost in this join.
final as (
    select
        line_totals.*,
        coalesce(order_totals.orders, 0) as orders
    from line_totals
    left join order_totals
        on
            line_totals.sale_date = order_totals.sale_date
            and line_totals.sale_hour = order_totals.sale_hour
            and line_totals.store_id = order_totals.store_id
            and line_totals.sales_region = order_totals.sales_region
            and line_totals.sales_channel = order_totals.sales_channel
            and line_totals.sales_representative = order_totals.sales_representative
            and line_totals.currency = order_totals.currency
)

select * from final
