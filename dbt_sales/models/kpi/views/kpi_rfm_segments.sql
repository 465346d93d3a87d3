{{ config(materialized='view') }}

with cells as (
    select * from {{ ref('kpi_rfm_cells') }}
),

customers as not materialized (
    select * from {{ ref('kpi_customers') }}
    where window_orders > 0
),

as_of as (
    select
        currency,
        max(sale_date) as as_of_date
    from {{ ref('kpi_daily_category_sales') }}
    group by currency
),

counted as materialized (
    select
        currency,
        last_order_date,
        window_orders,
        sales_band,
        sum(customers) as customers,
        sum(net_sales) as net_sales
    from cells
    group by grouping sets ((currency, last_order_date, window_orders), (currency, sales_band))
),

recency as (
    select
        currency,
        {{ ends_of_fifths('max', 'last_order_date') }} as last_order_dates
    from ({{ customers_up_to('last_order_date', 'desc') }}) as dates
    group by currency
),

frequency as (
    select
        currency,
        {{ ends_of_fifths('min', 'window_orders') }} as window_orders
    from ({{ customers_up_to('window_orders') }}) as numbers
    group by currency
),

bands as (
    {{ customers_up_to('sales_band') }}
),

-- The third fifth by net sales ends within a band: the index of customers finds the one with whom it ends.
fifths as materialized (
    select
        recency.currency,
        recency.last_order_dates,
        frequency.window_orders,
        bands.sales_band,
        (
            select customers.window_net_sales
            from customers
            where
                customers.currency = bands.currency
                and {{ sales_band('customers.window_net_sales') }} = bands.sales_band
            order by customers.window_net_sales
            limit 1 offset ceil(3 * bands.all_customers / 5) - (bands.reached - bands.customers) - 1
        ) as window_net_sales
    from recency
    inner join frequency on recency.currency = frequency.currency
    inner join bands on recency.currency = bands.currency
    where
        5 * bands.reached >= 3 * bands.all_customers
        and 5 * (bands.reached - bands.customers) < 3 * bands.all_customers
),

-- `limit all offset 0`: else each score is found out again wherever it is named.
scored as (
    select
        counted.currency,
        5 - ({{ fifths_passed('counted.last_order_date', '<', 'fifths.last_order_dates') }}) as recency_score,
        1 + {{ fifths_passed('counted.window_orders', '>', 'fifths.window_orders') }} as frequency_score,
        counted.customers,
        counted.customers * counted.window_orders as orders,
        counted.net_sales
    from counted
    inner join fifths on counted.currency = fifths.currency
    where counted.sales_band is null
    limit all offset 0
),

-- Of those with scores of 4 and 5 for recency and frequency: whole bands, and customers of the one between.
spend_most as (
    select
        cells.currency,
        cells.customers,
        cells.customers * cells.window_orders as orders,
        cells.net_sales
    from cells
    inner join fifths on cells.currency = fifths.currency
    where
        cells.last_order_date >= fifths.last_order_dates[2]
        and cells.window_orders > fifths.window_orders[3]
        and cells.sales_band > fifths.sales_band
    union all
    select
        customers.currency,
        1 as customers,
        customers.window_orders as orders,
        customers.window_net_sales as net_sales
    from fifths
    inner join customers
        on
            fifths.currency = customers.currency
            and fifths.sales_band = {{ sales_band('customers.window_net_sales') }}
    where
        customers.window_net_sales > fifths.window_net_sales
        and customers.last_order_date >= fifths.last_order_dates[2]
        and customers.window_orders > fifths.window_orders[3]
),

-- Who spends most is scored as loyal above, and moves to the champions here.
parts as (
    select
        currency,
        {{ rfm_segment('false') }} as segment,
        customers,
        orders,
        net_sales
    from scored
    union all
    select
        spend_most.currency,
        named.segment,
        named.sign * spend_most.customers as customers,
        named.sign * spend_most.orders as orders,
        named.sign * spend_most.net_sales as net_sales
    from spend_most
    cross join (values ('champions', 1), ('loyal', -1)) as named (segment, sign)
),

final as (
    select
        as_of.as_of_date,
        parts.segment,
        parts.currency,
        sum(parts.customers)::bigint as customers,
        sum(parts.orders) as orders,
        sum(parts.net_sales) as net_sales
    from parts
    inner join as_of on parts.currency = as_of.currency
    group by as_of.as_of_date, parts.segment, parts.currency
    having sum(parts.customers) > 0
)

select * from final
