{{ config(severity='warn') }}
-- Sales that kpi_reporting_daily_sales will refuse to convert.
with days as (
    select * from {{ ref('kpi_daily_totals') }}
),

rates as (
    select * from {{ ref('currency_rates') }}
)

select
    days.currency,
    min(days.sale_date) as first_date,
    max(days.sale_date) as last_date
from days
left join rates
    on
        days.currency = rates.currency
        and days.sale_date >= rates.rate_date
        and rates.reporting_currency = '{{ var("reporting_currency") }}'
where days.currency != '{{ var("reporting_currency") }}' and rates.rate is null
group by days.currency
