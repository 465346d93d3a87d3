{{ config(
    materialized='incremental',
    unique_key=['cohort_month', 'month', 'currency'],
    keep='customers != 0',
    indexes=[
        {'columns': ['cohort_month', 'month', 'currency'], 'unique': true},
    ],
) }}

{% set days = ref('fct_customer_days') %}
{% set columns = 'customer_id, sale_date, currency, orders, net_sales' %}

{# Who ordered before the first affected month stays in that cohort: of them that first order, and their days since that
   month. Of others all days. #}
{% set month = first_affected_month() %}
{% set known %}
with first as (
    {{ first_orders_that_stay(affected_customers(days), days) }}
)

select
    customer_id,
    sale_date,
    '' as currency,
    1::bigint as orders,
    0::numeric as net_sales
from first
where sale_date < {{ month }}
union all
{{ known_of(
    'first', days, columns,
    since='case when member.sale_date < ' ~ month ~ ' then ' ~ month ~ " else '-infinity' end",
) }}
{% endset %}

{{ maintained_sums(
    keys=['cohort_month', 'month', 'currency'],
    sums=['active_customers', 'repeat_customers', 'orders', 'net_sales', 'customers'],
    new=cohort_month_sums(history_after(days, columns)),
    old=cohort_month_sums(history_before(days, columns)),
    known=known,
) }}
