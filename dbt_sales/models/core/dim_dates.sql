{{ config(
    materialized='table',
    indexes=[{'columns': ['date_day'], 'unique': true}],
) }}

{% set first_date = "'" ~ var('calendar_first_date') ~ "'::date" %}
{% set day_after = dbt.dateadd('day', 1, "'" ~ var('calendar_last_date') ~ "'::date") %}

with calendar as (
    {{ dbt.date_spine('day', first_date, day_after) | trim }}
),

-- 1 January 1900 was a Monday.
counted as (
    select
        date_day::date as date_day,
        {{ dbt.datediff("'1900-01-01'", 'date_day', 'day') }} as days_since_monday -- noqa: LT05
    from calendar
),

days as (
    select
        date_day,
        days_since_monday % 7 + 1 as iso_weekday
    from counted
),

fiscal_periods as (
    select * from {{ ref('fiscal_periods') }}
),

final as (
    select
        days.date_day,
        days.iso_weekday,
        case days.iso_weekday
            when 1 then 'Monday'
            when 2 then 'Tuesday'
            when 3 then 'Wednesday'
            when 4 then 'Thursday'
            when 5 then 'Friday'
            when 6 then 'Saturday'
            when 7 then 'Sunday'
        end as weekday_name,
        days.iso_weekday > 5 as is_weekend,
        {% for unit in ['week', 'month', 'quarter', 'year'] %}
            {{ dbt.date_trunc(unit, 'days.date_day') }}::date as {{ unit }}_start,
        {% endfor %}
        fiscal_periods.fiscal_year,
        fiscal_periods.fiscal_quarter,
        fiscal_periods.fiscal_period
    from days
    left join fiscal_periods on days.date_day between fiscal_periods.start_date and fiscal_periods.end_date
)

select * from final
