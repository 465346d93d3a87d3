{{ config(materialized='view') }}

with sales as (
    select * from {{ ref('kpi_daily_sales') }}
    where pending_payment_value != 0
),

as_of as (
    select max(sale_date) as as_of_date from {{ ref('kpi_daily_category_sales') }}
),

aged as (
    select
        as_of.as_of_date,
        sales.currency,
        sales.pending_payment_value,
        case
            when {{ days_between('sales.sale_date', 'as_of.as_of_date') }} <= 7 then '0 to 7 days'
            when {{ days_between('sales.sale_date', 'as_of.as_of_date') }} <= 30 then '8 to 30 days'
            when {{ days_between('sales.sale_date', 'as_of.as_of_date') }} <= 90 then '31 to 90 days'
            else 'over 90 days'
        end as age
    from sales
    cross join as_of
),

final as (
    select
        as_of_date,
        age,
        currency,
        sum(pending_payment_value) as pending_payment_value
    from aged
    group by as_of_date, age, currency
)

select * from final
