{{ config(materialized='view') }}

{% set weeks_before %}
partition by currency, extract(isodow from sale_date) order by sale_date rows between 8 preceding and 1 preceding
{% endset %}

with sold as (
    select
        currency,
        sale_date,
        lines,
        net_sales
    from {{ ref('kpi_daily_category_sales') }}
),

spans as (
    select
        currency,
        min(sale_date)::timestamp as first_date,
        max(sale_date)::timestamp as last_date
    from sold
    group by currency
),

-- A day without a sheet is the anomaly to be found most, so it counts as one of no lines.
calendar as (
    select
        spans.currency,
        day::date as sale_date,
        0 as lines,
        0 as net_sales
    from spans
    cross join lateral generate_series(spans.first_date, spans.last_date, interval '1 day') as day
),

sold_or_not as (
    select * from sold
    union all
    select * from calendar
),

days as (
    select
        currency,
        sale_date,
        sum(lines)::bigint as lines,
        sum(net_sales) as net_sales
    from sold_or_not
    group by currency, sale_date
),

baselines as (
    select
        *,
        count(*) over ({{ weeks_before }}) as baseline_weeks,
        avg(lines) over ({{ weeks_before }}) as mean_lines,
        stddev_samp(lines) over ({{ weeks_before }}) as stddev_lines,
        avg(net_sales) over ({{ weeks_before }}) as mean_net_sales,
        stddev_samp(net_sales) over ({{ weeks_before }}) as stddev_net_sales
    from days
),

-- A history that hardly varies would make an anomaly of every small change: 5 % of the mean is no news.
scores as (
    select
        currency,
        sale_date,
        lines,
        net_sales,
        {% for measure in ['lines', 'net_sales'] %}
            case
                when baseline_weeks >= 4
                    then round(
                        ({{ measure }} - mean_{{ measure }})
                        / nullif(greatest(stddev_{{ measure }}, abs(mean_{{ measure }}) * 0.05), 0),
                        4
                    )
            end as {{ measure }}_z_score,
        {% endfor %}
        baseline_weeks
    from baselines
),

events as (
    select
        event_date,
        string_agg(event_name, ', ' order by event_name) as events
    from {{ ref('calendar_events') }}
    group by event_date
),

final as (
    select
        scores.currency,
        scores.sale_date,
        scores.lines,
        scores.net_sales,
        scores.baseline_weeks,
        scores.lines_z_score,
        scores.net_sales_z_score,
        coalesce(
            greatest(abs(scores.lines_z_score), abs(scores.net_sales_z_score)) > {{ var('anomaly_z_score') }},
            false
        ) as is_anomaly,
        events.events
    from scores
    left join events on scores.sale_date = events.event_date
)

select * from final
