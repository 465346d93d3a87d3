{{ config(materialized='view') }}

{% set reporting_currency = "'" ~ var('reporting_currency') ~ "'" %}

with sales as (
    select
        currency,
        min(sale_date) as first_sale_date
    from {{ ref('kpi_daily_category_sales') }} -- the mart that has the fewest rows
    group by currency
),

rates as (
    select
        currency,
        min(rate_date) as first_rate_date
    from {{ ref('currency_rates') }}
    where reporting_currency = {{ reporting_currency }}
    group by currency
),

final as (
    select
        sales.currency,
        {{ reporting_currency }}::text as reporting_currency,
        sales.first_sale_date,
        rates.first_rate_date,
        sales.currency = {{ reporting_currency }}
        or coalesce(rates.first_rate_date <= sales.first_sale_date, false) as is_convertible
    from sales
    left join rates on sales.currency = rates.currency
)

select * from final
