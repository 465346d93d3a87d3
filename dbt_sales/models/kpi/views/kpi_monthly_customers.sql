{{ config(materialized='view') }}

with cohort_months as (
    select * from {{ ref('kpi_cohort_months') }}
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
        *,
        repeat_customers / nullif(customers, 0)::numeric as repeat_rate,
        orders / nullif(customers, 0)::numeric as orders_per_customer
    from totals
)

select * from final
