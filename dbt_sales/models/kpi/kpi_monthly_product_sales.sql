{{ config(
    materialized='incremental',
    period='month',
    unique_key=['month', 'product_id', 'currency'],
    indexes=[
        {'columns': ['month', 'product_id', 'currency'], 'unique': true},
    ],
) }}

select
    date_trunc('month', sale_date)::date as month,
    product_id,
    currency,
    {{ totals(line_sums() + ['orders']) }}
from {{ affected_months(ref('kpi_daily_product_sales')) }} as day
group by date_trunc('month', sale_date)::date, product_id, currency
