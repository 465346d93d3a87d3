{{ config(materialized='view') }}

with months as (
    select * from {{ ref('kpi_monthly_product_sales') }}
),

products as (
    select * from {{ ref('dim_products') }}
),

latest as (
    select
        currency,
        max(month) as last_month
    from months
    group by currency
),

-- A product that lost more by returns than it sold has no share.
totals as (
    select
        months.product_id,
        months.currency,
        latest.last_month,
        sum(months.net_sales) as net_sales,
        greatest(sum(months.net_sales), 0) as earned
    from months
    inner join latest on months.currency = latest.currency
    where months.month > latest.last_month - interval '12 months'
    group by months.product_id, months.currency, latest.last_month
),

ranked as (
    select
        *,
        row_number() over (partition by currency order by net_sales desc, product_id asc) as sales_rank,
        sum(earned) over (partition by currency order by net_sales desc, product_id asc) as cumulative_sales,
        sum(earned) over (partition by currency) as total_sales
    from totals
),

final as (
    select
        ranked.product_id,
        products.product_name,
        products.product_category,
        ranked.currency,
        ranked.last_month,
        ranked.net_sales,
        ranked.sales_rank,
        ranked.earned / nullif(ranked.total_sales, 0) as sales_share,
        ranked.cumulative_sales / nullif(ranked.total_sales, 0) as cumulative_share,
        case
            when ranked.earned = 0 then 'C'
            when ranked.cumulative_sales - ranked.earned < ranked.total_sales * 0.80 then 'A'
            when ranked.cumulative_sales - ranked.earned < ranked.total_sales * 0.95 then 'B'
            else 'C'
        end as abc_class
    from ranked
    inner join products on ranked.product_id = products.product_id
)

select * from final
