-- The segments are counted by cells; this counts every customer with its scores.
with customers as (
    select
        currency,
        segment,
        count(*) as customers,
        sum(frequency) as orders,
        sum(monetary) as net_sales
    from {{ ref('kpi_customer_rfm') }}
    group by currency, segment
),

segments as (
    select * from {{ ref('kpi_rfm_segments') }}
)

select
    coalesce(customers.currency, segments.currency) as currency,
    coalesce(customers.segment, segments.segment) as segment,
    customers.customers as counted_customers,
    segments.customers,
    customers.net_sales as counted_net_sales,
    segments.net_sales
from customers
full join segments on customers.currency = segments.currency and customers.segment = segments.segment
where
    (customers.customers, customers.orders, customers.net_sales)
    is distinct from (segments.customers, segments.orders, segments.net_sales)
