{{ config(materialized='view') }}

with cohort_months as (
    select * from {{ ref('kpi_cohort_months') }}
),

spans as (
    select
        currency,
        max(sale_date) as as_of_date,
        min(min(sale_date)) over () as first_sale_date
    from {{ ref('kpi_daily_category_sales') }}
    group by currency
),

-- A customer belongs to one cohort, so customers may be summed over cohorts.
totals as (
    select
        month,
        currency,
        sum(active_customers)::bigint as customers,
        coalesce(sum(active_customers) filter (where cohort_month = month), 0)::bigint as new_customers,
        sum(repeat_customers)::bigint as repeat_customers,
        sum(orders)::bigint as orders
    from cohort_months
    group by month, currency
),

final as (
    select
        totals.*,
        {{ ratio('totals.repeat_customers', 'totals.customers') }} as repeat_rate,
        {{ ratio('totals.orders', 'totals.customers') }} as orders_per_customer,
        totals.month <= spans.first_sale_date as is_first_month,
        (totals.month + interval '1 month')::date - 1 <= spans.as_of_date as is_month_complete
    from totals
    inner join spans on totals.currency = spans.currency
)

select * from final
