{{ config(
    materialized='incremental',
    indexes=[
        {'columns': ['currency', 'segment'], 'unique': true},
    ],
) }}

select
    as_of_date,
    segment,
    currency,
    count(*) as customers,
    sum(frequency) as orders,
    sum(monetary) as net_sales
from {{ whole(ref('kpi_customer_rfm')) }} as customer
group by as_of_date, segment, currency
