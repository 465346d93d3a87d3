{{ config(materialized='view') }}

with sales as not materialized (
    select * from {{ ref('kpi_monthly_product_sales') }}
),

newest_days as (
    select * from {{ ref('kpi_newest_days') }}
),

days as ( -- the mart that has the fewest rows
    select * from {{ ref('kpi_daily_category_sales') }}
),

spans as (
    select
        days.currency,
        min(days.sale_date) as first_sale_date,
        max(days.sale_date) as last_sale_date,
        newest_days.complete_until as as_of_date
    from days
    inner join newest_days on days.currency = newest_days.currency
    group by days.currency, newest_days.complete_until
),

comparisons (comparison, distance) as (
    values
    ('previous_month', interval '1 month'),
    ('last_year', interval '1 year')
),

months as (
    select
        spans.currency,
        comparisons.comparison,
        spans.first_sale_date,
        spans.last_sale_date,
        spans.as_of_date,
        series.month_start::date as month,
        (series.month_start + interval '1 month')::date - 1 as month_end,
        (series.month_start - comparisons.distance)::date as base_month,
        (series.month_start - comparisons.distance + interval '1 month')::date - 1 as base_month_end
    from spans
    cross join comparisons
    cross join lateral generate_series(
        date_trunc('month', spans.first_sale_date::timestamp), spans.as_of_date::timestamp, interval '1 month'
    ) as series (month_start)
),

-- A running month has as many days of the base month beside it as are complete, but never more than that has.
compared as (
    select
        *,
        month_end <= as_of_date as is_month_complete,
        least(month_end, as_of_date) as last_day,
        case
            when month_end <= as_of_date then base_month_end
            else least(base_month + (as_of_date - month)::integer, base_month_end)
        end as base_last_day
    from months
    where base_month >= first_sale_date
),

-- Each month once as itself and once with what it is compared with.
halves as (
    select
        *,
        month as first_day,
        last_day as until,
        least(month_end, last_sale_date) as whole_until,
        false as is_base
    from compared
    union all
    select
        *,
        base_month as first_day,
        base_last_day as until,
        base_month_end as whole_until,
        true as is_base
    from compared
),

-- Of whole months the sums are at hand, of parts the days. `lateral` has the index asked for what one month needs: else
-- a question about one month would read them all.
sides as (
    select
        halves.*,
        sold.product_id,
        case when halves.is_base then 0 else sold.net_sales end as net_sales,
        case when halves.is_base then 0 else sold.units end as units,
        case when halves.is_base then sold.net_sales else 0 end as base_net_sales,
        case when halves.is_base then sold.units else 0 end as base_units,
        case when halves.is_base then 0 else 1 end as sold
    from halves
    cross join lateral (
        select
            whole.product_id,
            whole.net_sales,
            whole.units_sold - whole.returned_units as units
        from sales as whole
        where
            halves.until = halves.whole_until
            and whole.month = halves.first_day
            and whole.currency = halves.currency
        union all
        select
            days.product_id,
            sum(days.net_sales) as net_sales,
            sum(days.units_sold - days.returned_units) as units
        from (select * from {{ ref('kpi_daily_product_sales') }}) as days
        where
            halves.until < halves.whole_until
            and days.sale_date between halves.first_day and halves.until
            and days.currency = halves.currency
        group by days.product_id
    ) as sold
),

products as (
    select
        comparison,
        month,
        product_id,
        currency,
        is_month_complete,
        last_day,
        base_last_day,
        sum(net_sales) as net_sales,
        sum(units) as units,
        sum(base_net_sales) as base_net_sales,
        sum(base_units) as base_units,
        sum(sold) as sold
    from sides
    group by comparison, month, product_id, currency, is_month_complete, last_day, base_last_day
),

totals as (
    select
        *,
        sum(units) over month_compared as total_units,
        sum(base_units) over month_compared as total_base_units,
        sum(base_net_sales) over month_compared as total_base_net_sales,
        sum(sold) over month_compared as total_sold
    from products
    window month_compared as (partition by comparison, month, currency)
),

-- Volume: what the base would be worth if all products had moved like the total. Price: what the units of now cost more
-- than at the price of then. Mix is what remains, so that the three sum to the difference to the cent.
effects as (
    select
        *,
        case
            when base_units > 0 and units > 0 then round(net_sales - base_net_sales / base_units * units, 2)
            else 0
        end as price_effect,
        case
            when base_units > 0 and total_base_units > 0
                then round(base_net_sales * (total_units / total_base_units - 1), 2)
            else 0
        end as volume_effect
    from totals
    where total_sold > 0 and total_base_net_sales != 0
),

final as (
    select
        month,
        comparison,
        product_id,
        currency,
        is_month_complete,
        last_day,
        base_last_day,
        net_sales,
        units,
        base_net_sales,
        base_units,
        net_sales - base_net_sales as net_sales_change,
        price_effect,
        volume_effect,
        net_sales - base_net_sales - price_effect - volume_effect as mix_effect
    from effects
)

select * from final
