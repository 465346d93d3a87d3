{{ config(materialized='view', grants={'select': ['dashboard_customers']}) }}

with customers as (
    select * from {{ ref('kpi_customers') }}
    where window_orders > 0
),

as_of as (
    select max(sale_date) as as_of_date from {{ ref('kpi_daily_category_sales') }}
),

-- Fifths of the customers of a currency, 5 the best; who is alike is told apart by the identifier, for want of better.
scored as (
    select
        customers.customer_id,
        as_of.as_of_date,
        customers.currency,
        as_of.as_of_date - customers.last_order_date as recency_days,
        customers.window_orders as frequency,
        customers.window_net_sales as monetary,
        ntile(5) over (
            partition by customers.currency order by customers.last_order_date, customers.customer_id
        ) as recency_score,
        ntile(5) over (
            partition by customers.currency order by customers.window_orders, customers.customer_id
        ) as frequency_score,
        ntile(5) over (
            partition by customers.currency order by customers.window_net_sales, customers.customer_id
        ) as monetary_score
    from customers
    cross join as_of
),

final as (
    select
        *,
        case
            when recency_score >= 4 and frequency_score >= 4 and monetary_score >= 4 then 'champions'
            when recency_score >= 3 and frequency_score >= 4 then 'loyal'
            when recency_score >= 4 and frequency_score <= 2 then 'new or promising'
            when recency_score <= 2 and frequency_score >= 4 then 'at risk'
            when recency_score <= 2 and frequency_score <= 2 then 'lost'
            else 'needs attention'
        end as segment
    from scored
)

select * from final
