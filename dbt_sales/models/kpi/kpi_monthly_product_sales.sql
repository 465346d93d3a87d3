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
    {{ totals(measures_of_lines() | list + ['orders']) }}
from {{ whole(ref('kpi_daily_product_sales')) }} as day
{% if rebuilds_dates() -%}
where sale_date = any(array( -- along the index
    select generate_series(month, month + interval '1 month -1 day', interval '1 day')::date
    from (select distinct date_trunc('month', affected)::date as month from unnest({{ affected_dates() }}) as affected) as months
))
{% endif -%}
group by date_trunc('month', sale_date)::date, product_id, currency
