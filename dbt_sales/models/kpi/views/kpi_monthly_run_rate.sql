{{ config(materialized='view') }}

-- A view, so that it is always of the version of its days. Net sales are additive over categories, and the mart of
-- those has the fewest rows per day.
with days as (
    select
        currency,
        sale_date,
        sum(net_sales) as net_sales
    from {{ ref('kpi_daily_category_sales') }}
    group by currency, sale_date
),

months as (
    select
        currency,
        date_trunc('month', sale_date)::date as month,
        sum(net_sales) as net_sales,
        max(sale_date) as last_sale_date
    from days
    group by currency, date_trunc('month', sale_date)::date
),

-- A month with a later month of sales is over, also when its last days sold nothing.
spans as (
    select
        *,
        (month + interval '1 month')::date - 1 as month_end,
        case
            when lead(month) over (partition by currency order by month) is null then last_sale_date
            else (month + interval '1 month')::date - 1
        end as elapsed_until
    from months
),

-- Only calendar days since the first sale in the window count, so that a young history does not look like closed days.
history as (
    select
        spans.currency,
        spans.month,
        min(days.sale_date) as first_day
    from spans
    inner join days
        on
            spans.currency = days.currency
            and days.sale_date >= spans.month - 56
            and days.sale_date < spans.month
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
    cross join lateral generate_series(history.first_day::timestamp, history.month - interval '1 day', '1 day') as day
    left join days on history.currency = days.currency and days.sale_date = day::date
    where history.month - history.first_day >= 7
    group by history.currency, history.month, extract(isodow from day)::integer
),

usable as (
    select
        currency,
        month
    from history_weights
    group by currency, month
    having sum(weight) > 0
),

month_days as (
    select
        spans.currency,
        spans.month,
        day::date <= spans.elapsed_until as is_elapsed,
        case when usable.month is null then 1 else history_weights.weight end as weight
    from spans
    cross join lateral generate_series(spans.month::timestamp, spans.month_end::timestamp, '1 day') as day
    left join usable on spans.currency = usable.currency and spans.month = usable.month
    left join history_weights
        on
            spans.currency = history_weights.currency
            and spans.month = history_weights.month
            and extract(isodow from day) = history_weights.weekday
),

shares as (
    select
        currency,
        month,
        sum(weight) filter (where is_elapsed) / sum(weight) as share_elapsed
    from month_days
    group by currency, month
),

final as (
    select
        spans.month,
        spans.currency,
        spans.net_sales,
        spans.last_sale_date,
        shares.share_elapsed,
        round(spans.net_sales / nullif(shares.share_elapsed, 0), 2) as run_rate,
        previous.net_sales as previous_month_net_sales
    from spans
    inner join shares on spans.currency = shares.currency and spans.month = shares.month
    left join months as previous
        on spans.currency = previous.currency and spans.month - interval '1 month' = previous.month
)

select * from final
