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

last_month as (
    select max(month) as month from cohort_months
    where month <= (select max(as_of_date) from spans)
),

sizes as (
    select
        cohort_month,
        currency,
        active_customers as cohort_size
    from cohort_months
    where month = cohort_month and active_customers > 0
),

-- Every month since, also one in which nobody came.
grid as (
    select
        sizes.cohort_month,
        sizes.currency,
        sizes.cohort_size,
        months_since,
        (sizes.cohort_month + months_since * interval '1 month')::date as month
    from sizes
    cross join last_month
    cross join lateral generate_series(
        0,
        (
            extract(year from age(last_month.month, sizes.cohort_month)) * 12
            + extract(month from age(last_month.month, sizes.cohort_month))
        )::integer
    ) as months_since
),

final as (
    select
        grid.cohort_month,
        grid.months_since,
        grid.currency,
        grid.month,
        grid.cohort_size,
        coalesce(cohort_months.active_customers, 0) as active_customers,
        coalesce(cohort_months.orders, 0) as orders,
        coalesce(cohort_months.net_sales, 0) as net_sales,
        {{ ratio('coalesce(cohort_months.active_customers, 0)', 'grid.cohort_size') }} as retention_rate,
        coalesce(cohort_months.net_sales, 0) / grid.cohort_size as net_sales_per_member,
        sum(coalesce(cohort_months.net_sales, 0)) over (
            partition by grid.cohort_month, grid.currency order by grid.months_since
        ) / grid.cohort_size as cumulative_net_sales_per_member,
        grid.cohort_month <= spans.first_sale_date as is_first_cohort,
        (grid.month + interval '1 month')::date - 1 <= spans.as_of_date as is_month_complete
    from grid
    inner join spans on grid.currency = spans.currency
    left join cohort_months
        on
            grid.cohort_month = cohort_months.cohort_month
            and grid.currency = cohort_months.currency
            and grid.month = cohort_months.month
)

select * from final
