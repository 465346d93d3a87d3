{{ config(
    materialized='incremental',
    grants={'select': ['dashboard_customers', 'analyst']},
    indexes=[
        {'columns': ['customer_id', 'currency'], 'unique': true},
    ],
) }}

with customers as (
    select * from {{ whole(ref('kpi_customers')) }} as customer
    where window_orders > 0
),

as_of as (
    select
        currency,
        max(sale_date) as as_of_date
    from {{ whole(ref('kpi_daily_category_sales')) }} as day
    group by currency
),

-- By how many customers lie before each one, so that customers who are alike are ranked alike.
ranked as (
    select
        *,
        count(*) over (partition by currency) as customers,
        rank() over (partition by currency order by last_order_date desc) - 1 as more_recent_customers,
        rank() over (partition by currency order by window_orders) - 1 as less_frequent_customers,
        rank() over (partition by currency order by window_net_sales) - 1 as lower_customers
    from customers
),

scored as (
    select
        ranked.customer_id,
        as_of.as_of_date,
        ranked.currency,
        greatest({{ days_between('ranked.last_order_date', 'as_of.as_of_date') }}, 0) as recency_days,
        ranked.window_orders as frequency,
        ranked.window_net_sales as monetary,
        (5 - floor(5.0 * ranked.more_recent_customers / ranked.customers))::integer as recency_score,
        (1 + floor(5.0 * ranked.less_frequent_customers / ranked.customers))::integer as frequency_score,
        (1 + floor(5.0 * ranked.lower_customers / ranked.customers))::integer as monetary_score
    from ranked
    inner join as_of on ranked.currency = as_of.currency
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
