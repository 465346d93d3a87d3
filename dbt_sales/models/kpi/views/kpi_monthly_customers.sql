{{ config(materialized='view') }}

with cohort_months as (
    select * from {{ ref('kpi_cohort_months') }}
),

-- A day that has not begun ends no month.
newest_days as (
    select * from {{ ref('kpi_newest_days') }}
),

days as (
    select * from {{ ref('kpi_daily_category_sales') }}
),

spans as (
    select
        currency,
        sale_date as as_of_date,
        (select min(days.sale_date) from days) as first_sale_date
    from newest_days
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
    inner join spans on totals.currency = spans.currency and totals.month <= spans.as_of_date
)

select * from final
