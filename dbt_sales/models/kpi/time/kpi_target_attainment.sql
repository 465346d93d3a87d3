{{ config(materialized='view') }}

with targets as (
    select * from {{ ref('fct_sales_targets') }}
),

months as (
    select
        month,
        currency,
        share_elapsed
    from {{ ref('kpi_monthly_run_rate') }}
),

newest_days as (
    select
        currency,
        complete_until
    from {{ ref('kpi_newest_days') }}
),

spans as (
    select
        currency,
        min(month) as first_month,
        max(month) as last_month
    from months
    group by currency
),

-- Targets of months in which nothing was sold yet are no news, and of those before the first sale no failure.
due as (
    select targets.*
    from targets
    inner join spans
        on targets.currency = spans.currency and targets.month between spans.first_month and spans.last_month
),

daily as (
    select
        sale_date,
        sales_region,
        store_id,
        currency,
        net_sales
    from {{ ref('kpi_daily_sales') }}
    where sale_date >= (select min(month) from due)
),

-- A day in progress is not due yet, so its sales would come on top.
monthly as (
    select
        date_trunc('month', daily.sale_date::timestamp)::date as month,
        daily.sales_region,
        daily.store_id,
        daily.currency,
        sum(daily.net_sales) as net_sales
    from daily
    inner join newest_days on daily.currency = newest_days.currency and daily.sale_date <= newest_days.complete_until
    group by date_trunc('month', daily.sale_date::timestamp)::date, daily.sales_region, daily.store_id, daily.currency
),

actuals as (
    select
        'sales_region' as place_type,
        month,
        sales_region as place,
        currency,
        sum(net_sales) as net_sales
    from monthly
    group by month, sales_region, currency
    union all
    select
        'store_id' as place_type,
        month,
        store_id as place,
        currency,
        sum(net_sales) as net_sales
    from monthly
    group by month, store_id, currency
),

planned as (
    select distinct
        month,
        place_type,
        currency
    from due
),

-- Sales of a place without a target stand beside the others, so that the places add up to the whole.
places as (
    select
        coalesce(due.month, actuals.month) as month,
        coalesce(due.place_type, actuals.place_type) as place_type,
        coalesce(due.place, actuals.place) as place,
        coalesce(due.currency, actuals.currency) as currency,
        coalesce(actuals.net_sales, 0) as net_sales,
        due.target_net_sales
    from due
    full outer join actuals
        on
            due.month = actuals.month
            and due.place_type = actuals.place_type
            and due.place = actuals.place
            and due.currency = actuals.currency
),

prorated as (
    select
        places.*,
        coalesce(months.share_elapsed, 1) as share_elapsed, -- a month between others that sold nothing is over
        round(places.target_net_sales * coalesce(months.share_elapsed, 1), 2) as target_to_date
    from places
    inner join planned
        on
            places.month = planned.month
            and places.place_type = planned.place_type
            and places.currency = planned.currency
    left join months on places.month = months.month and places.currency = months.currency
),

final as (
    select
        month,
        place_type,
        place,
        currency,
        net_sales,
        target_net_sales,
        share_elapsed,
        target_to_date,
        net_sales - target_to_date as gap,
        {{ ratio('net_sales', 'target_to_date') }} as attainment_rate
    from prorated
)

select * from final
