{# The second index holds every column, so that the history of a customer is read from it alone. The rows of a day lie
   side by side, also where all days are built at once: kpi_customers reads the days that leave its window. #}
{{ config(
    materialized='incremental',
    served=true,
    next_order='sale_date, customer_id',
    indexes=[
        {'columns': ['sale_date', 'customer_id', 'currency'], 'unique': true},
        {'columns': ['customer_id', 'sale_date', 'currency', 'orders', 'units_sold', 'net_sales', 'trades']},
    ],
) }}

with lines as (
    select * from {{ affected(ref('fct_sales_lines')) }} as line
),

orders as (
    select * from {{ affected(ref('fct_orders')) }} as sold
),

parts as (
    select
        sale_date,
        customer_id,
        currency,
        0 as orders,
        units_sold,
        net_amount,
        case when line_type in ('sale', 'return') then 1 else 0 end as trades
    from lines
    union all
    select
        sale_date,
        customer_id,
        currency,
        1 as orders,
        0 as units_sold,
        0 as net_amount,
        0 as trades
    from orders
    where order_status = 'completed'
),

final as (
    select
        sale_date,
        customer_id,
        currency,
        sum(orders) as orders,
        sum(units_sold) as units_sold,
        sum(net_amount) as net_sales,
        sum(trades) as trades
    from parts
    group by sale_date, customer_id, currency
)

select * from final
order by sale_date
