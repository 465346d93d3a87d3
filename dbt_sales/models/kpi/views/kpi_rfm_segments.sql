{{ config(materialized='view') }}

with customers as (
    select * from {{ ref('kpi_customer_rfm') }}
),

final as (
    select
        as_of_date,
        segment,
        currency,
        count(*) as customers,
        sum(frequency) as orders,
        sum(monetary) as net_sales
    from customers
    group by as_of_date, segment, currency
)

select * from final
