{{ config(materialized='view') }}

-- A view, so that it is always of the version of its days. Net sales are additive over categories, and the mart of
-- those has the fewest rows per day.
with newest_days as (
    select * from {{ ref('kpi_newest_days') }}
),

sales as (
    select * from {{ ref('kpi_daily_category_sales') }}
),

-- Sales of days that have not begun say nothing of how a month goes.
days as (
    select
        sales.currency,
        sales.sale_date,
        sum(sales.net_sales) as net_sales
    from sales
    inner join newest_days on sales.currency = newest_days.currency and sales.sale_date <= newest_days.sale_date
    group by sales.currency, sales.sale_date
),

months as (
    select
        currency,
        date_trunc('month', sale_date::timestamp)::date as month,
        sum(net_sales) as net_sales,
        max(sale_date) as last_sale_date
    from days
    group by currency, date_trunc('month', sale_date::timestamp)::date
),

-- A month with a later month of sales is over, also when its last days sold nothing. A day in progress has not passed.
spans as (
    select
        months.*,
        (months.month + interval '1 month')::date - 1 as month_end,
        case
            when lead(months.month) over (partition by months.currency order by months.month) is null
                then newest_days.complete_until
            else (months.month + interval '1 month')::date - 1
        end as elapsed_until
    from months
    inner join newest_days on months.currency = newest_days.currency
),

-- Only calendar days since the first sale of all count, so that a young history does not look like closed days.
history as (
    select
        spans.currency,
        spans.month,
        greatest(spans.month - 56, min(days.sale_date)) as first_day,
        spans.month - interval '1 day' as last_day
    from spans
    inner join days on spans.currency = days.currency and days.sale_date < spans.month
    group by spans.currency, spans.month
),

-- Average net sales of a weekday; a weekday of net returns weighs nothing.
history_weights as (
    select
        history.currency,
        history.month,
        extract(isodow from day)::integer as weekday,
        greatest(sum(coalesce(days.net_sales, 0)) / count(*), 0) as weight
    from history
    cross join lateral generate_series(history.first_day::timestamp, history.last_day, interval '1 day') as day
    left join days on history.currency = days.currency and days.sale_date = day::date
    where history.month - history.first_day >= 7
    group by history.currency, history.month, extract(isodow from day)::integer
),

usable_weights as (
    select
        *,
        sum(weight) over (partition by currency, month) as total_weight
    from history_weights
),

month_days as (
    select
        spans.currency,
        spans.month,
        day::date as day,
        coalesce(days.net_sales, 0) as net_sales,
        case when usable_weights.total_weight > 0 then usable_weights.weight else 1 end as weight
    from spans
    cross join lateral generate_series(spans.month::timestamp, spans.month_end::timestamp, interval '1 day') as day
    left join days on spans.currency = days.currency and day::date = days.sale_date
    left join usable_weights
        on
            spans.currency = usable_weights.currency
            and spans.month = usable_weights.month
            and extract(isodow from day)::integer = usable_weights.weekday
),

-- Sales and share of the month up to each of its days.
course as (
    select
        currency,
        month,
        day,
        sum(net_sales) over (partition by currency, month order by day) as net_sales,
        sum(weight) over (partition by currency, month order by day)
        / sum(weight) over (partition by currency, month) as share_elapsed
    from month_days
),

-- Of a month whose first day is in progress, no day has passed.
current_state as (
    select
        spans.*,
        coalesce(course.share_elapsed, 0) as share_elapsed,
        round(course.net_sales / nullif(course.share_elapsed, 0), 2) as run_rate,
        spans.elapsed_until < spans.month_end as is_open
    from spans
    left join course
        on
            spans.currency = course.currency
            and spans.month = course.month
            and spans.elapsed_until = course.day
),

-- What earlier months came to, as a multiple of what they would have been said to come to after as many days. Months
-- that were over by then have nothing to teach, nor has one whose first days lie before the first sale.
backtest as (
    select
        current_state.currency,
        current_state.month,
        earlier.net_sales * course.share_elapsed / course.net_sales as outcome
    from current_state
    inner join spans as earlier
        on current_state.currency = earlier.currency and earlier.month < current_state.month
    inner join course
        on
            earlier.currency = course.currency
            and earlier.month = course.month
            and course.day = earlier.month + (current_state.elapsed_until - current_state.month)::integer
    where
        current_state.is_open
        and course.day < earlier.month_end
        and course.net_sales > 0
        and course.share_elapsed > 0
        and exists (
            select 1
            from days
            where days.currency = earlier.currency and days.sale_date <= earlier.month
        )
),

-- percentile_disc() picks an outcome that there was, and so stays exact; percentile_cont() would make it a float.
bands as (
    select
        currency,
        month,
        count(*) as backtest_months,
        percentile_disc(0.1) within group (order by outcome) as low,
        percentile_disc(0.9) within group (order by outcome) as high
    from backtest
    group by currency, month
),

final as (
    select
        current_state.month,
        current_state.currency,
        current_state.net_sales,
        current_state.last_sale_date,
        current_state.elapsed_until,
        current_state.share_elapsed,
        current_state.run_rate,
        case
            when not current_state.is_open then current_state.run_rate
            when bands.backtest_months >= 3
                then round(least(current_state.run_rate * bands.low, current_state.run_rate * bands.high), 2)
        end as run_rate_low,
        case
            when not current_state.is_open then current_state.run_rate
            when bands.backtest_months >= 3
                then round(greatest(current_state.run_rate * bands.low, current_state.run_rate * bands.high), 2)
        end as run_rate_high,
        case when current_state.is_open then coalesce(bands.backtest_months, 0) end as backtest_months,
        previous.net_sales as previous_month_net_sales
    from current_state
    left join bands on current_state.currency = bands.currency and current_state.month = bands.month
    left join months as previous
        on
            current_state.currency = previous.currency
            and current_state.month - interval '1 month' = previous.month
)

select * from final
