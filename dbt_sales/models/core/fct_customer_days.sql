{# The second index holds every column, so that the history of a customer is read from it alone. The rows of a day lie
   side by side, also where all days are built at once: kpi_customers reads the days that leave its window. #}
{{ config(
    materialized='incremental',
    next_order='sale_date, customer_id',
    indexes=[
        {'columns': ['sale_date', 'customer_id', 'currency'], 'unique': true},
        {'columns': ['customer_id', 'sale_date', 'currency', 'orders', 'units_sold', 'net_sales']},
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
        net_amount
    from lines
    where not {{ has_no_customer_day() }}
    union all
    select
        sale_date,
        customer_id,
        currency,
        1 as orders,
        0 as units_sold,
        0 as net_amount
    from orders
    where order_status = 'completed' and customer_id != 'unknown'
),

final as (
    select
        sale_date,
        customer_id,
        currency,
        sum(orders) as orders,
        sum(units_sold) as units_sold,
        sum(net_amount) as net_sales
    from parts
    group by sale_date, customer_id, currency
)

select * from final
order by sale_date
