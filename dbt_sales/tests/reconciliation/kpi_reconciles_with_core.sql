{{ config(tags=['publish']) }}
{#- Dates and currencies on which a daily sales mart differs from the core facts. #}

{%- set marts = ['kpi_daily_sales', 'kpi_daily_product_sales', 'kpi_daily_category_sales'] -%}
with core_days as (
    select
        sale_date,
        currency,
        count(*) as lines,
        sum(gross_amount) as gross_sales,
        sum(net_amount) as net_sales,
        sum(cost_amount) as cost_amount,
        sum(units_sold) as units_sold,
        sum(cancelled_value) as cancelled_value
    from {{ affected(ref('fct_sales_lines')) }} as days
    group by sale_date, currency
),

mart_days as (
    {% for mart in marts %}
        select
            '{{ mart }}' as mart,
            sale_date,
            currency,
            sum(lines) as lines,
            sum(gross_sales) as gross_sales,
            sum(net_sales) as net_sales,
            sum(cost_amount) as cost_amount,
            sum(units_sold) as units_sold,
            sum(cancelled_value) as cancelled_value
        from {{ affected(ref(mart)) }} as days
        group by sale_date, currency
        {{ 'union all' if not loop.last }}
    {% endfor %}
),

expected_days as (
    select
        marts.mart,
        core_days.*
    from core_days
    cross join unnest(array{{ marts }}) as marts (mart)
),

order_days as (
    select
        sale_date,
        count(*) as orders
    from {{ affected(ref('fct_orders')) }} as days
    group by sale_date
),

counted_days as (
    select
        sale_date,
        sum(orders + cancelled_orders) as orders
    from {{ affected(ref('kpi_daily_sales')) }} as days
    group by sale_date
),

-- Of lines with a time of day the hours come to what the core has of them; without one they are in no hour.
timed_days as (
    select
        sale_date,
        count(*) as lines,
        sum(net_amount) as net_sales
    from {{ affected(ref('fct_sales_lines')) }} as days
    where sale_hour is not null
    group by sale_date
),

hours as (
    select
        sale_date,
        sum(lines) as lines,
        sum(net_sales) as net_sales
    from {{ affected(ref('kpi_hourly_sales')) }} as days
    group by sale_date
),

differences as (
    select
        coalesce(expected_days.sale_date, mart_days.sale_date) as sale_date,
        coalesce(expected_days.mart, mart_days.mart) || ' '
        || coalesce(expected_days.currency, mart_days.currency) as difference_in,
        expected_days.net_sales as core_value,
        mart_days.net_sales as mart_value
    from expected_days
    full join mart_days
        on
            expected_days.mart = mart_days.mart
            and expected_days.sale_date = mart_days.sale_date
            and expected_days.currency = mart_days.currency
    where
        (
            expected_days.lines, expected_days.gross_sales, expected_days.net_sales,
            expected_days.cost_amount, expected_days.units_sold, expected_days.cancelled_value
        )
        is distinct from (
            mart_days.lines, mart_days.gross_sales, mart_days.net_sales,
            mart_days.cost_amount, mart_days.units_sold, mart_days.cancelled_value
        )
    union all
    select
        coalesce(order_days.sale_date, counted_days.sale_date) as sale_date,
        'orders' as difference_in,
        order_days.orders as core_value,
        counted_days.orders as mart_value
    from order_days
    full join counted_days on order_days.sale_date = counted_days.sale_date
    where coalesce(order_days.orders, 0) != coalesce(counted_days.orders, 0)
    union all
    select
        coalesce(timed_days.sale_date, hours.sale_date) as sale_date,
        'kpi_hourly_sales' as difference_in,
        timed_days.net_sales as core_value,
        hours.net_sales as mart_value
    from timed_days
    full join hours on timed_days.sale_date = hours.sale_date
    where (timed_days.lines, timed_days.net_sales) is distinct from (hours.lines, hours.net_sales)
)

select *
from differences
where sale_date not in ({{ awaited_dates() }})
{{ 'and sale_date >= (select raw.live_since())' if has_served() }}
