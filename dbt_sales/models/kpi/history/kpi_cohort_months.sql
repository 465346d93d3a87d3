{{ config(
    materialized='incremental',
    indexes=[
        {'columns': ['cohort_month', 'month', 'currency'], 'unique': true},
    ],
) }}

with member_months as (
    select
        date_trunc('month', sale_date)::date as month,
        currency,
        sum(orders) as orders,
        sum(net_sales) as net_sales,
        min(min(sale_date) filter (where orders > 0)) over (partition by customer_id) as first_order_date
    from {{ whole(ref('fct_customer_days')) }} as day
    where customer_id != 'unknown' and trades > 0
    group by customer_id, date_trunc('month', sale_date)::date, currency
),

final as (
    select
        date_trunc('month', first_order_date)::date as cohort_month,
        month,
        currency,
        count(*) filter (where orders > 0) as active_customers,
        count(*) filter (where orders > 1) as repeat_customers,
        sum(orders)::bigint as orders,
        sum(net_sales) as net_sales,
        count(*) as customers
    from member_months
    where first_order_date is not null
    group by date_trunc('month', first_order_date)::date, month, currency
)

select * from final
