{{ config(
    materialized='table',
    indexes=[{'columns': ['date_day'], 'unique': true}],
) }}

with days as (
    select generate_series(
        '{{ var("calendar_first_date") }}'::timestamp,
        '{{ var("calendar_last_date") }}'::timestamp,
        interval '1 day'
    )::date as date_day
),

fiscal_periods as (
    select * from {{ ref('fiscal_periods') }}
),

calendar as (
    select
        date_day,
        extract(isodow from date_day)::integer as iso_weekday,
        trim(to_char(date_day, 'Day')) as weekday_name,
        extract(isodow from date_day) > 5 as is_weekend,
        date_trunc('week', date_day)::date as week_start,
        date_trunc('month', date_day)::date as month_start,
        date_trunc('quarter', date_day)::date as quarter_start,
        date_trunc('year', date_day)::date as year_start
    from days
),

final as (
    select
        calendar.*,
        fiscal_periods.fiscal_year,
        fiscal_periods.fiscal_quarter,
        fiscal_periods.fiscal_period
    from calendar
    left join fiscal_periods on calendar.date_day between fiscal_periods.start_date and fiscal_periods.end_date
)

select * from final
