select
    cohort_month,
    months_since,
    cohort_size,
    active_customers,
    retention_rate,
    cumulative_net_sales_per_member,
    is_first_cohort,
    is_month_complete
from kpi.kpi_cohort_retention
where
    currency = :currency
    and cohort_month > (
        select max(month) - interval '13 months'
        from kpi.kpi_cohort_months
        where currency = :currency
    )
order by cohort_month, months_since
