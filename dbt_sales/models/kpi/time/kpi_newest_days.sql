{{ config(materialized='view') }}

-- Whether a day is over cannot be told by a clock: late in the evening a sheet may still be missing. But a day that has
-- begun in the time zone of no feed has a wrong date, or came early: it is not the newest, and ends no day before it.
with begun as (
    select max(({{ var('clock') }} at time zone timezone)::date) as until
    from {{ ref('dim_time_zones') }}
),

days as (
    select
        currency,
        sale_date,
        sum(lines)::bigint as lines
    from {{ ref('kpi_daily_category_sales') }} -- the mart that has the fewest rows
    group by currency, sale_date
),

newest as (
    select
        days.currency,
        coalesce(max(days.sale_date) filter (where days.sale_date <= begun.until), max(days.sale_date)) as sale_date
    from days
    cross join begun
    group by days.currency
),

-- percentile_disc() picks a day that there was; without one, nothing is usual.
usual as (
    select
        newest.currency,
        count(*) as usual_weeks,
        percentile_disc(0.5) within group (order by days.lines) as usual_lines
    from newest
    inner join days
        on
            newest.currency = days.currency
            and days.sale_date in (
                newest.sale_date - 7, newest.sale_date - 14, newest.sale_date - 21, newest.sale_date - 28
            )
    group by newest.currency
),

judged as (
    select
        newest.currency,
        newest.sale_date,
        days.lines,
        coalesce(usual.usual_weeks, 0) as usual_weeks,
        usual.usual_lines,
        coalesce(days.lines < usual.usual_lines * {{ var('complete_day_share') }}, false) as is_in_progress
    from newest
    inner join days on newest.currency = days.currency and newest.sale_date = days.sale_date
    left join usual on newest.currency = usual.currency
),

final as (
    select
        *,
        case when is_in_progress then sale_date - 1 else sale_date end as complete_until
    from judged
)

select * from final
