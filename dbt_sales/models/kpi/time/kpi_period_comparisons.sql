{{ config(materialized='view') }}

{% set measures = [
    'gross_sales', 'discounts', 'returns', 'net_sales', 'orders', 'units_sold', 'returned_units', 'gross_margin',
    'costed_net_sales', 'cancelled_value', 'cancelled_orders',
] %}

with first_days as (
    select
        currency,
        min(sale_date) as first_sale_date
    from {{ ref('kpi_daily_category_sales') }} -- the mart that has the fewest rows
    group by currency
),

newest_days as (
    select * from {{ ref('kpi_newest_days') }}
),

spans as (
    select
        first_days.currency,
        first_days.first_sale_date,
        newest_days.complete_until as as_of_date
    from first_days
    inner join newest_days on first_days.currency = newest_days.currency
),

presets as (
    select *
    from (
        values
        ('day', 1, null, null::interval),
        ('7_days', 7, null, null),
        ('28_days', 28, null, null),
        ('month_to_date', null, 'month', '1 month'),
        ('quarter_to_date', null, 'quarter', '3 months'),
        ('year_to_date', null, 'year', '1 year')
    ) as preset (period, days, calendar_unit, unit_length)
),

starts as (
    select
        spans.*,
        presets.period,
        presets.unit_length,
        coalesce(
            spans.as_of_date - presets.days + 1,
            date_trunc(presets.calendar_unit, spans.as_of_date::timestamp)::date
        ) as period_start
    from spans
    cross join presets
),

periods as (
    select
        *,
        (as_of_date - period_start)::integer + 1 as period_days,
        (period_start - unit_length)::date as previous_unit_start
    from starts
),

-- Equal elapsed time is an equal number of days from the start, but never beyond the end: the 31 days of March are
-- compared with the 28 of February.
compared_days as (
    select
        *,
        'previous_period' as comparison,
        period_start - period_days as compared_start,
        period_start - 1 as compared_end
    from periods
    union all
    select
        *,
        'same_weekdays_last_year' as comparison,
        period_start - 364 as compared_start,
        as_of_date - 364 as compared_end
    from periods
    union all
    select
        *,
        'same_elapsed_time' as comparison,
        previous_unit_start as compared_start,
        least(previous_unit_start + period_days, period_start) - 1 as compared_end
    from periods
    where previous_unit_start is not null
),

comparisons as (
    select
        *,
        compared_start >= first_sale_date as is_complete
    from compared_days
),

-- Two years at most, whatever the history.
days as (
    select
        sale_date,
        currency,
        {{ measures | join(', ') }}
    from {{ ref('kpi_daily_totals') }}
    where sale_date >= (select min(compared_start) from comparisons)
),

windows as (
    select
        currency,
        period_start as first_day,
        as_of_date as last_day
    from periods
    union distinct
    select
        currency,
        compared_start as first_day,
        compared_end as last_day
    from comparisons
    where compared_end >= first_sale_date
),

sums as (
    select
        windows.currency,
        windows.first_day,
        windows.last_day,
        {{ totals(measures) }}
    from windows
    left join days
        on windows.currency = days.currency and days.sale_date between windows.first_day and windows.last_day
    group by windows.currency, windows.first_day, windows.last_day
),

-- A window without sales has sold nothing; what no cost is known of has no margin.
counted as (
    select
        currency,
        first_day,
        last_day,
        {% for measure in measures if measure != 'gross_margin' %}
            coalesce({{ measure }}, 0) as {{ measure }},
        {% endfor %}
        gross_margin
    from sums
),

window_totals as (
    select
        *,
        {{ rates() }}
    from counted
),

final as (
    select
        comparisons.currency,
        comparisons.period,
        comparisons.comparison,
        comparisons.as_of_date,
        comparisons.period_start,
        comparisons.period_days,
        comparisons.compared_start,
        comparisons.compared_end,
        comparisons.compared_end - comparisons.compared_start + 1 as compared_days,
        {% for measure in measures + period_rates() | list %}
            current_window.{{ measure }},
            compared.{{ measure }} as {{ measure }}_compared,
            case
                when comparisons.is_complete then current_window.{{ measure }} - compared.{{ measure }}
            end as {{ measure }}_delta,
        {% endfor %}
        {% for measure in measures + ['average_transaction_value', 'units_per_order'] %}
            case
                when comparisons.is_complete
                    then {{ change_rate('current_window.' ~ measure, 'compared.' ~ measure) }}
            end as {{ measure }}_delta_rate,
        {% endfor %}
        comparisons.is_complete
    from comparisons
    inner join window_totals as current_window
        on
            comparisons.currency = current_window.currency
            and comparisons.period_start = current_window.first_day
            and comparisons.as_of_date = current_window.last_day
    left join window_totals as compared
        on
            comparisons.currency = compared.currency
            and comparisons.compared_start = compared.first_day
            and comparisons.compared_end = compared.last_day
)

select * from final
