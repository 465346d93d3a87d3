-- What the KPIs are, in DuckDB, from the accepted rows of the sheets alone. Written from the definitions (the marts'
-- descriptions in dbt_sales/), not from the marts' SQL. A statement called kpi_* or ops_* gives that mart; the others
-- prepare tables, in the order in which they stand. sales_lines holds one row per accepted row of a sheet that counts.

-- name: before_discount
-- Cents, half up, of an amount of four decimals after this share was taken off: in whole numbers, and so exact.
create macro before_discount(total, rate) as cast(
    cast((2 * 100 * cast(total * 10000 as hugeint) + cast((1 - rate) * 10000 as hugeint))
        // (2 * cast((1 - rate) * 10000 as hugeint)) as decimal(20, 0)) * cast('0.01' as decimal(3, 2)) as decimal(20, 2)
);

-- name: measured
-- One row per line: what it is of, and as m_* what it adds to every additive measure.
create table measured as
with amounts as (
    select
        *,
        case
            when line_total is null then round(abs(quantity) * unit_price, 2)
            else before_discount(abs(line_total), coalesce(discount_rate, 0))
        end as amount,
        case
            when line_total is null then round(abs(quantity) * unit_price * coalesce(discount_rate, 0), 2)
            else before_discount(abs(line_total), coalesce(discount_rate, 0)) - round(abs(line_total), 2)
        end as discount,
        line_type = 'sale' as is_sale,
        line_type = 'return' as is_return,
        cast(date_trunc('month', sale_date) as date) as month,
        case when feed = 'online_retail' or sold_at <> date_trunc('day', sold_at) then hour(sold_at) end as sale_hour
    from sales_lines
), netted as (
    select
        *,
        case when is_sale then amount - discount when is_return then discount - amount else 0 end as net,
        case
            when is_sale or is_return then quantity_sign * coalesce(round(abs(line_cost), 2), abs(quantity) * unit_cost)
        end as cost
    from amounts, lateral (select case when is_return then -1 else 1 end as quantity_sign)
)
select
    feed, file_id, row_number, sale_id, sold_at, sale_hour, sale_date, month, line_type, customer_id, currency,
    product_id, product_name, product_category, store_id, sales_region, sales_channel, sales_representative,
    case when is_sale then amount else 0 end as m_gross_sales,
    case when is_sale then discount else 0 end as m_discounts,
    case when is_return then amount - discount else 0 end as m_returns,
    net as m_net_sales,
    case when is_sale then quantity else 0 end as m_units_sold,
    case when is_return then abs(quantity) else 0 end as m_returned_units,
    cost as m_cost_amount,
    net - cost as m_gross_margin,
    case when cost is not null then net else 0 end as m_costed_net_sales,
    case when cost is not null then 1 else 0 end as m_costed_lines,
    case when line_type = 'cancellation' then amount - discount else 0 end as m_cancelled_value,
    case when line_type = 'adjustment' then round(coalesce(line_total, quantity * unit_price), 2) else 0 end as adjusted,
    1 as m_lines,
    case when rating = 1 then 1 else 0 end as m_ratings_1,
    case when rating = 2 then 1 else 0 end as m_ratings_2,
    case when rating = 3 then 1 else 0 end as m_ratings_3,
    case when rating = 4 then 1 else 0 end as m_ratings_4,
    case when rating = 5 then 1 else 0 end as m_ratings_5,
    case when is_sale and delivery_date is not null then 1 else 0 end as m_delivered_lines,
    case when is_sale and delivery_date - sale_date <= 5 then 1 else 0 end as m_delivered_on_time_lines,
    case when is_sale and delivery_date is not null then delivery_date - sale_date else 0 end as m_delivery_days,
    case when is_sale and lower(payment_status) = 'pending' then amount - discount else 0 end as m_pending_payment_value
from netted;

-- name: orders
-- One row per order: an order number is of one feed and one day. Its place and customer are those of its first sale line.
create table orders as
with ranked as (
    select
        *,
        row_number() over (
            partition by feed, sale_id, sale_date order by line_type <> 'sale', file_id, row_number
        ) as position,
        bool_or(line_type = 'sale') over (partition by feed, sale_id, sale_date) as is_completed,
        sum(m_gross_sales - m_discounts) over (partition by feed, sale_id, sale_date) as sold_value,
        sum(m_units_sold) over (partition by feed, sale_id, sale_date) as order_units
    from measured
    where line_type in ('sale', 'cancellation')
)
select
    feed, sale_id, sale_date, month, sold_at as ordered_at, sale_hour, is_completed, sold_value, order_units,
    customer_id, currency, store_id, sales_region, sales_channel, sales_representative
from ranked
where position = 1;

-- name: latest
create table latest as
select
    max(sale_date) as sale_date,
    cast(date_trunc('month', max(sale_date)) as date) as month
from measured;

-- name: as_of
-- The latest date of each currency, and the first month of the whole history.
create table as_of as
select
    currency, max(sale_date) as as_of_date,
    (select cast(date_trunc('month', min(sale_date)) as date) from measured) as first_month
from measured
group by currency;

-- name: kpi_daily_sales
with placed as (
    select
        sale_date, store_id, sales_region, sales_channel, sales_representative, currency,
        count(*) filter (where is_completed) as orders,
        count(*) filter (where not is_completed) as cancelled_orders
    from orders
    group by all
), summed as (
    select
        sale_date, store_id, sales_region, sales_channel, sales_representative, currency,
        sum(columns('m_(.*)')) as '\1',
        sum(adjusted) as adjustment_value
    from measured
    group by all
)
select summed.*, coalesce(orders, 0) as orders, coalesce(cancelled_orders, 0) as cancelled_orders
from summed
left join placed using (sale_date, store_id, sales_region, sales_channel, sales_representative, currency);

-- name: kpi_hourly_sales
with placed as (
    select
        sale_date, sale_hour, store_id, sales_region, sales_channel, sales_representative, currency, count(*) as orders
    from orders
    where is_completed and sale_hour is not null
    group by all
), summed as (
    select
        sale_date, sale_hour, store_id, sales_region, sales_channel, sales_representative, currency,
        sum(m_net_sales) as net_sales,
        sum(m_lines) as lines
    from measured
    where sale_hour is not null
    group by all
)
select summed.*, coalesce(orders, 0) as orders
from summed
left join placed using (sale_date, sale_hour, store_id, sales_region, sales_channel, sales_representative, currency);

-- name: kpi_daily_product_sales
-- Of several names on a day, the last that is one.
select
    sale_date, product_id, currency,
    coalesce(last(product_name order by file_id, row_number) filter (where product_name <> 'unknown'), 'unknown')
        as product_name,
    coalesce(
        last(product_category order by file_id, row_number) filter (where product_category <> 'unknown'), 'unknown'
    ) as product_category,
    count(distinct (feed, sale_id)) filter (where line_type = 'sale') as orders,
    sum(columns('m_(.*)')) as '\1'
from measured
group by sale_date, product_id, currency;

-- name: kpi_daily_place_category_sales
-- An order is counted where its first line of the category was sold.
with placed as (
    select
        sale_date, currency, product_category,
        first(store_id order by file_id, row_number) as store_id,
        first(sales_region order by file_id, row_number) as sales_region,
        first(sales_channel order by file_id, row_number) as sales_channel,
        first(sales_representative order by file_id, row_number) as sales_representative
    from measured
    where line_type = 'sale'
    group by sale_date, currency, product_category, feed, sale_id
), counted as (
    select sale_date, store_id, sales_region, sales_channel, sales_representative, product_category, currency, count(*) as orders
    from placed
    group by all
), summed as (
    select
        sale_date, store_id, sales_region, sales_channel, sales_representative, product_category, currency,
        sum(columns('m_(.*)')) as '\1'
    from measured
    group by sale_date, store_id, sales_region, sales_channel, sales_representative, product_category, currency
)
select summed.*, coalesce(orders, 0) as orders
from summed
left join counted using (sale_date, store_id, sales_region, sales_channel, sales_representative, product_category, currency);

-- name: kpi_daily_place_product_sales
-- As above, of the product.
with placed as (
    select
        sale_date, currency, product_id,
        first(store_id order by file_id, row_number) as store_id,
        first(sales_region order by file_id, row_number) as sales_region,
        first(sales_channel order by file_id, row_number) as sales_channel,
        first(sales_representative order by file_id, row_number) as sales_representative,
        first(product_category order by file_id, row_number) as product_category
    from measured
    where line_type = 'sale'
    group by sale_date, currency, product_id, feed, sale_id
), counted as (
    select sale_date, store_id, sales_region, sales_channel, sales_representative, product_id, product_category, currency, count(*) as orders
    from placed
    group by all
), summed as (
    select
        sale_date, store_id, sales_region, sales_channel, sales_representative, product_id, product_category, currency,
        sum(columns('m_(.*)')) as '\1'
    from measured
    group by sale_date, store_id, sales_region, sales_channel, sales_representative, product_id, product_category, currency
)
select summed.*, coalesce(orders, 0) as orders
from summed
left join counted using (sale_date, store_id, sales_region, sales_channel, sales_representative, product_id, product_category, currency);

-- name: kpi_products
select distinct product_id from measured;

-- name: kpi_order_lines
select
    file_id, row_number, sale_date, feed, sale_id, line_type, store_id, sales_region, sales_channel,
    sales_representative, currency, customer_id, product_id, product_name, product_category,
    m_gross_sales as gross_amount, m_discounts as discount_amount, m_returns as return_amount,
    m_net_sales as net_amount, m_cost_amount as cost_amount
from measured;

-- name: kpi_orders
select sale_date, feed, sale_id, case when is_completed then 'completed' else 'cancelled' end as order_status from orders;

-- name: kpi_daily_category_sales
select
    sale_date, product_category, currency,
    count(distinct (feed, sale_id)) filter (where line_type = 'sale') as orders,
    sum(columns('m_(.*)')) as '\1'
from measured
group by sale_date, product_category, currency;

-- name: kpi_monthly_product_sales
select
    month, product_id, currency,
    count(distinct (feed, sale_id, sale_date)) filter (where line_type = 'sale') as orders,
    sum(columns('m_(.*)')) as '\1'
from measured
group by month, product_id, currency;

-- name: original_returns
create table original_returns as
select
    *,
    (
        select max(orders.sale_date) from orders
        where
            is_completed and orders.feed = measured.feed and orders.sale_id = measured.sale_id
            and orders.sale_date <= measured.sale_date
    ) as ordered_on
from measured
where line_type = 'return';

-- name: kpi_daily_original_returns
-- A return is of the latest completed order of its number up to its own day; else it is taken to be of that day.
select
    coalesce(ordered_on, sale_date) as original_sale_date, sale_date,
    product_id, store_id, sales_region, sales_channel, sales_representative, currency,
    sum(m_returns) as returns,
    sum(m_returned_units) as returned_units,
    count(ordered_on) as matched_lines,
    count(*) as lines
from original_returns
group by all;

-- name: baskets
create table baskets as
select feed, sale_id, sale_date, month, list_sort(list(distinct product_id)) as products
from measured
where line_type = 'sale'
group by all
having count(distinct product_id) <= 100;

-- name: product_pairs
-- In the same orders is counted how many hold both, how many each of the two, and how many there are.
create table product_pairs as
with items as (
    select feed, sale_id, sale_date, month, unnest(products) as product_id from baskets
), counted as (
    select month, count(*) as all_orders from baskets group by all
), alone as (
    select month, product_id, count(*) as orders from items group by all
), together as (
    select a.month, a.product_id as product_a, b.product_id as product_b, count(*) as orders
    from items as a
    inner join items as b
        on b.feed = a.feed and b.sale_id = a.sale_id and b.sale_date = a.sale_date and b.product_id > a.product_id
    group by all
    having count(*) >= 3
)
select together.*, all_orders, a.orders as orders_a, b.orders as orders_b
from together
inner join counted using (month)
inner join alone as a on a.month = together.month and a.product_id = product_a
inner join alone as b on b.month = together.month and b.product_id = product_b;

-- name: kpi_monthly_product_pairs
from product_pairs;

-- name: customers
-- Of customers with a completed order, each currency in which they bought or gave back. Their first and latest order
-- are those in any currency.
create table customers as
with known as (
    select customer_id, min(sale_date) as first_order_date, max(sale_date) as last_order_date
    from orders
    where is_completed and customer_id <> 'unknown'
    group by all
), ordered as (
    select
        customer_id, currency,
        count(*) as orders,
        count(*) filter (where sale_date > as_of_date - 365) as window_orders
    from orders
    inner join as_of using (currency)
    where is_completed
    group by all
), summed as (
    select
        customer_id, currency,
        sum(m_units_sold) as units_sold,
        sum(m_net_sales) as net_sales,
        coalesce(sum(m_net_sales) filter (where sale_date > as_of_date - 365), 0) as window_net_sales
    from measured
    inner join as_of using (currency)
    where line_type in ('sale', 'return')
    group by all
)
select
    customer_id, currency, first_order_date, last_order_date,
    coalesce(orders, 0) as orders, units_sold, net_sales, coalesce(window_orders, 0) as window_orders, window_net_sales
from summed
inner join known using (customer_id)
left join ordered using (customer_id, currency);

-- name: kpi_customers
select * from customers;

-- name: kpi_daily_customers
with numbered as (
    select
        *,
        row_number() over (partition by customer_id order by sale_date, ordered_at, feed, sale_id) as place_in_history
    from orders
    where is_completed
)
select
    sale_date, currency,
    case when customer_id = 'unknown' then 'unknown' when place_in_history = 1 then 'new' else 'returning' end
        as customer_type,
    count(distinct customer_id) filter (where customer_id <> 'unknown') as customers,
    count(*) as orders,
    sum(sold_value) as sold_value
from numbered
group by all;

-- name: customer_months
-- What each customer did in a month and currency, in the cohort of the month of the first completed order in any.
create table customer_months as
with ordered as (
    select month, customer_id, currency, count(*) as orders from orders where is_completed group by all
), netted as (
    select month, customer_id, currency, sum(m_net_sales) as net_sales
    from measured
    where line_type in ('sale', 'return')
    group by all
)
select
    cast(date_trunc('month', first_order_date) as date) as cohort_month,
    netted.month, customer_id, currency, coalesce(ordered.orders, 0) as orders, netted.net_sales
from netted
inner join customers using (customer_id, currency)
left join ordered using (month, customer_id, currency);

-- name: kpi_cohort_months
select
    cohort_month, month, currency,
    count(*) filter (where orders > 0) as active_customers,
    count(*) filter (where orders >= 2) as repeat_customers,
    sum(orders) as orders,
    sum(net_sales) as net_sales,
    count(*) as customers
from customer_months
group by all;

-- name: kpi_cohort_retention
-- Every month from a cohort's own to the latest one, whether anybody came back or not; of members, those who ordered in
-- this currency in the first month make the size. Who ordered in the history's first month may be an older customer. A
-- month is over once its last day has come in this currency.
with sizes as (
    select cohort_month, currency, count(*) as cohort_size
    from customer_months
    where cohort_month = month and orders > 0
    group by all
), months as (
    select
        cohort_month, currency, cohort_size,
        cast(unnest(generate_series(cohort_month, latest.month, interval 1 month)) as date) as month
    from sizes, latest
), active as (
    select
        cohort_month, month, currency,
        count(*) filter (where orders > 0) as active_customers,
        sum(orders) as orders,
        sum(net_sales) as net_sales
    from customer_months
    group by all
)
select
    cohort_month, month, currency, cohort_size,
    date_diff('month', cohort_month, month) as months_since,
    coalesce(active_customers, 0) as active_customers,
    coalesce(orders, 0) as orders,
    coalesce(net_sales, 0) as net_sales,
    coalesce(active_customers, 0) / cohort_size as retention_rate,
    coalesce(net_sales, 0) / cohort_size as net_sales_per_member,
    sum(coalesce(net_sales, 0)) over (partition by cohort_month, currency order by month) / cohort_size
        as cumulative_net_sales_per_member,
    cohort_month = first_month as is_first_cohort,
    last_day(month) <= as_of_date as is_month_complete
from months
inner join as_of using (currency)
left join active using (cohort_month, month, currency);

-- name: rfm
create table rfm as
select
    customer_id, currency,
    as_of_date,
    greatest(as_of_date - last_order_date, 0) as recency_days,
    window_orders as frequency,
    window_net_sales as monetary,
    -- Five less the whole fifths of the customers who came later; one and the whole fifths of those below.
    5 - 5 * (rank() over (partition by currency order by last_order_date desc) - 1) // count(*) over all_of as recency_score,
    1 + 5 * (rank() over (partition by currency order by window_orders) - 1) // count(*) over all_of as frequency_score,
    1 + 5 * (rank() over (partition by currency order by window_net_sales) - 1) // count(*) over all_of as monetary_score
from customers
inner join as_of using (currency)
where window_orders > 0
window all_of as (partition by currency);

-- name: kpi_customer_rfm
select * from rfm;

-- name: kpi_rfm_segments
-- Only what all segments of a currency sum to: their names are the mart's own.
select currency, any_value(as_of_date) as as_of_date, count(*) as customers, sum(frequency) as orders, sum(monetary) as net_sales
from rfm
group by currency;

-- name: kpi_product_abc
-- Of the twelve calendar months up to the latest of the currency. What came back more than it sold has no share. The class
-- goes by what the products before it have earned.
with bounds as (
    select currency, max(month) as last_month from measured where line_type in ('sale', 'return') group by all
), yearly as (
    select product_id, currency, last_month, sum(m_net_sales) as net_sales
    from measured
    inner join bounds using (currency)
    where month > last_month - interval 12 month and line_type in ('sale', 'return')
    group by all
), ranked as (
    select
        *,
        row_number() over (partition by currency order by net_sales desc, product_id) as sales_rank,
        greatest(net_sales, 0) as earned
    from yearly
), shared as (
    select
        *,
        sum(earned) over (partition by currency) as all_earned,
        sum(earned) over (partition by currency order by sales_rank) as earned_so_far
    from ranked
)
select
    product_id, currency, last_month, net_sales, sales_rank,
    earned / nullif(all_earned, 0) as sales_share,
    earned_so_far / nullif(all_earned, 0) as cumulative_share,
    case when net_sales <= 0 then 'C'
        when earned_so_far - earned < 0.80 * all_earned then 'A'
        when earned_so_far - earned < 0.95 * all_earned then 'B'
        else 'C' end as abc_class
from shared;

-- name: totals
create table totals as
with ordered as (
    select
        sale_date, currency,
        count(*) filter (where is_completed) as orders,
        count(*) filter (where not is_completed) as cancelled_orders
    from orders
    group by all
), summed as (
    select sale_date, currency, sum(columns('m_(.*)')) as '\1', sum(adjusted) as adjustment_value
    from measured
    group by all
)
select summed.*, coalesce(orders, 0) as orders, coalesce(cancelled_orders, 0) as cancelled_orders
from summed
left join ordered using (sale_date, currency);

-- name: kpi_daily_totals
select
    *,
    net_sales / nullif(orders, 0) as average_transaction_value,
    units_sold / nullif(orders, 0) as units_per_order,
    gross_margin / nullif(costed_net_sales, 0) as margin_rate,
    costed_net_sales / nullif(net_sales, 0) as cost_coverage_rate,
    discounts / nullif(gross_sales, 0) as discount_rate,
    returned_units / nullif(units_sold, 0) as return_rate,
    cancelled_orders / nullif(orders + cancelled_orders, 0) as cancellation_rate
from totals;

-- name: weekday_weights
-- What each weekday sold on average in the 56 days before a month, of which there is history; 1 for all where that is
-- less than a week or sold nothing.
create table weekday_weights as
with months as (
    select distinct cast(date_trunc('month', sale_date) as date) as month, currency from totals
), days as (
    select month, currency, cast(unnest(generate_series(month - 56, month - 1, interval 1 day)) as date) as sale_date
    from months
), history as (
    select days.month, days.currency, isodow(days.sale_date) as weekday, coalesce(net_sales, 0) as net_sales
    from days
    left join totals using (sale_date, currency)
    where days.sale_date >= (select min(sale_date) from totals where currency = days.currency)
), averages as (
    select month, currency, weekday, avg(cast(net_sales as double)) as average from history group by all
), usable as (
    select month, currency
    from history
    group by all
    having count(*) >= 7 and sum(net_sales) > 0
)
select
    months.month, months.currency, weekday,
    case when usable.month is null then 1 else greatest(coalesce(average, 0), 0) end as weight
from months
cross join (select unnest([1, 2, 3, 4, 5, 6, 7]) as weekday)
left join averages using (month, currency, weekday)
left join usable using (month, currency);

-- name: newest_days
-- A newest day is in progress while it has less than 80 % of the lines of the middle one, or the lower of the two in the
-- middle, of the same weekdays of the four weeks before.
create table newest_days as
with usual as (
    select
        newest.currency, newest.sale_date, newest.lines, count(earlier.lines) as usual_weeks,
        quantile_disc(earlier.lines, 0.5) as usual_lines
    from (select * from totals qualify sale_date = max(sale_date) over (partition by currency)) as newest
    left join totals as earlier
        on
            earlier.currency = newest.currency
            and newest.sale_date - earlier.sale_date between 1 and 28
            and isodow(earlier.sale_date) = isodow(newest.sale_date)
    group by all
)
select
    *,
    coalesce(lines * 10 < usual_lines * 8, false) as is_in_progress,
    case when lines * 10 < usual_lines * 8 then sale_date - 1 else sale_date end as complete_until
from usual;

-- name: kpi_newest_days
select * from newest_days;

-- name: shares
-- How much of a month has passed in each currency, what it sold so far, and what on the days that have passed.
create table shares as
with monthly as (
    select
        cast(date_trunc('month', totals.sale_date) as date) as month, currency,
        sum(net_sales) as net_sales, max(totals.sale_date) as last_sale_date,
        sum(net_sales) filter (where totals.sale_date <= complete_until) as elapsed_net_sales,
        max(complete_until) as complete_until
    from totals
    inner join newest_days using (currency)
    group by all
)
select
    month, currency, net_sales, last_sale_date, elapsed_net_sales,
    case when month < max(month) over (partition by currency) then last_day(month) else complete_until end
        as elapsed_until,
    case
        when month < max(month) over (partition by currency) then 1
        else coalesce(sum(weight) filter (where day <= complete_until), 0) / sum(weight)
    end as share_elapsed
from monthly
cross join lateral (
    select cast(unnest(generate_series(month, last_day(month), interval 1 day)) as date) as day
)
inner join weekday_weights using (month, currency)
where weekday = isodow(day)
group by month, currency, net_sales, last_sale_date, elapsed_net_sales, complete_until;

-- name: backtests
-- What each month came to, as a multiple of its own run rate after as many days as the running month has. Months that
-- were not over then, and that lie wholly after the first sale.
create table backtests as
with running as (
    select month, currency, elapsed_until - month + 1 as days
    from shares
    qualify row_number() over (partition by currency order by month desc) = 1
), earlier as (
    select running.month, running.currency, shares.month as earlier_month, shares.net_sales, days
    from running
    inner join shares on shares.currency = running.currency and shares.month < running.month
    where
        days < day(last_day(shares.month))
        and shares.month >= (select min(sale_date) from totals where totals.currency = running.currency)
), elapsed as (
    select
        earlier.month, earlier.currency, earlier_month, earlier.net_sales,
        (
            select coalesce(sum(totals.net_sales), 0) from totals
            where
                totals.currency = earlier.currency
                and sale_date between earlier_month and earlier_month + cast(days - 1 as integer)
        ) as so_far,
        (
            select sum(weight) filter (where day(day) <= days) / sum(weight)
            from (select cast(unnest(generate_series(earlier_month, last_day(earlier_month), interval 1 day)) as date) as day)
            inner join weekday_weights on weekday = isodow(day)
            where weekday_weights.month = earlier_month and weekday_weights.currency = earlier.currency
        ) as share_elapsed
    from earlier
)
select month, currency, cast(net_sales as double) * share_elapsed / cast(so_far as double) as multiple
from elapsed
where so_far > 0 and share_elapsed > 0;

-- name: kpi_monthly_run_rate
-- The band of a month that is over is the month itself.
with told as (
    select
        month, currency, count(*) as backtest_months,
        quantile_disc(multiple, 0.1) as low, quantile_disc(multiple, 0.9) as high
    from backtests
    group by all
), rated as (
    select
        shares.month, shares.currency, shares.net_sales, shares.last_sale_date, shares.elapsed_until,
        shares.share_elapsed, cast(shares.elapsed_net_sales as double) / nullif(shares.share_elapsed, 0) as run_rate,
        previous.net_sales as previous_month_net_sales
    from shares
    left join shares as previous
        on previous.currency = shares.currency and previous.month = shares.month - interval 1 month
)
select
    rated.*,
    case when share_elapsed = 1 then run_rate when backtest_months >= 3 then run_rate * low end as run_rate_low,
    case when share_elapsed = 1 then run_rate when backtest_months >= 3 then run_rate * high end as run_rate_high,
    case when share_elapsed < 1 then coalesce(backtest_months, 0) end as backtest_months
from rated
left join told using (month, currency);

-- name: kpi_product_pairs
select
    month, product_a, product_b, orders,
    orders / all_orders as support,
    orders / orders_a as confidence_a_to_b,
    orders / orders_b as confidence_b_to_a,
    (orders / all_orders) / ((orders_a / all_orders) * (orders_b / all_orders)) as lift
from product_pairs;

-- name: kpi_price_volume_mix
-- Of each product that sold in a month or in the one that it is compared with, where the change of its net sales comes
-- from: other prices for what is sold now, more or fewer units of everything, and another share of the units. Units are
-- those that stayed sold. What sold in one of the months only has no price to compare; what had no units to begin with
-- is new. The complete days of a running month are compared with as many days of the base month; a base month that began
-- before the history is none.
with bounds as (
    select currency, min(measured.sale_date) as first_date, any_value(complete_until) as last_date
    from measured
    inner join newest_days using (currency)
    group by all
), comparisons as (
    select unnest(['previous_month', 'last_year']) as comparison, unnest([1, 12]) as months
), pairs as (
    select
        month, comparison, currency,
        last_day(month) <= last_date as is_month_complete,
        least(last_day(month), last_date) as last_day,
        cast(month - to_months(months) as date) as base_month,
        case
            when last_day(month) <= last_date or day(last_date) > day(last_day(month - to_months(months)))
                then last_day(month - to_months(months))
            else cast(month - to_months(months) as date) + cast(day(last_date) - 1 as integer)
        end as base_last_day
    from (select distinct month, currency from measured)
    inner join bounds using (currency)
    cross join comparisons
    where month - to_months(months) >= first_date and month <= last_date
), sold as (
    select
        pairs.*, product_id,
        m_net_sales as net_sales, m_units_sold - m_returned_units as units, 0 as base_net_sales, 0 as base_units
    from pairs
    inner join measured on measured.currency = pairs.currency and sale_date between pairs.month and last_day
    union all
    select pairs.*, product_id, 0, 0, m_net_sales, m_units_sold - m_returned_units
    from pairs
    inner join measured on measured.currency = pairs.currency and sale_date between base_month and base_last_day
), compared as (
    select
        month, comparison, product_id, currency, is_month_complete, last_day, base_last_day,
        sum(net_sales) as net_sales, sum(units) as units,
        sum(base_net_sales) as base_net_sales, sum(base_units) as base_units
    from sold
    group by month, comparison, product_id, currency, is_month_complete, last_day, base_last_day
    qualify sum(sum(base_net_sales)) over (partition by month, comparison, currency) <> 0
), effects as (
    select
        *,
        net_sales - base_net_sales as net_sales_change,
        case when units > 0 and base_units > 0 then net_sales - base_net_sales * units / base_units else 0.0::double end
            as price_effect,
        case when base_units > 0 then cast(base_net_sales as double) else 0.0::double end * (
            sum(units) over (partition by month, comparison, currency)
            / nullif(sum(base_units) over (partition by month, comparison, currency), 0) - 1
        ) as volume_effect
    from compared
)
select *, cast(net_sales_change as double) - price_effect - volume_effect as mix_effect
from effects;

-- name: kpi_product_ratings
with summed as (
    select month, product_id, sum(columns('m_(ratings_.)')) as '\1' from measured group by all
)
select
    *,
    ratings_1 + ratings_2 + ratings_3 + ratings_4 + ratings_5 as rated_lines,
    (ratings_1 + 2 * ratings_2 + 3 * ratings_3 + 4 * ratings_4 + 5 * ratings_5)
        / nullif(ratings_1 + ratings_2 + ratings_3 + ratings_4 + ratings_5, 0) as mean_rating
from summed;

-- name: kpi_rep_ratings
with summed as (
    select month, sales_representative, sum(columns('m_(ratings_.)')) as '\1' from measured group by all
)
select
    *,
    ratings_1 + ratings_2 + ratings_3 + ratings_4 + ratings_5 as rated_lines,
    (ratings_1 + 2 * ratings_2 + 3 * ratings_3 + 4 * ratings_4 + 5 * ratings_5)
        / nullif(ratings_1 + ratings_2 + ratings_3 + ratings_4 + ratings_5, 0) as mean_rating
from summed;

-- name: kpi_daily_fulfilment
select
    sale_date, sales_region, sales_channel, currency,
    sum(m_delivered_lines) as delivered_lines,
    sum(m_delivered_on_time_lines) as delivered_on_time_lines,
    sum(m_delivery_days) as delivery_days,
    sum(m_pending_payment_value) as pending_payment_value,
    sum(m_delivered_on_time_lines) / nullif(sum(m_delivered_lines), 0) as on_time_rate,
    sum(m_delivery_days) / nullif(sum(m_delivered_lines), 0) as days_to_deliver
from measured
group by all;

-- name: kpi_pending_payments
select
    latest.sale_date as as_of_date,
    case
        when latest.sale_date - measured.sale_date <= 7 then '0 to 7 days'
        when latest.sale_date - measured.sale_date <= 30 then '8 to 30 days'
        when latest.sale_date - measured.sale_date <= 90 then '31 to 90 days'
        else 'over 90 days'
    end as age,
    currency,
    sum(m_pending_payment_value) as pending_payment_value
from measured, latest
group by all
having sum(m_pending_payment_value) <> 0;

-- name: periods
-- The spans up to the latest complete day of a currency.
create table periods as
with latest_of_currency as (
    select currency, max(complete_until) as as_of_date, min(totals.sale_date) as first_date
    from totals
    inner join newest_days using (currency)
    group by currency
)
select
    currency, period, as_of_date, first_date, months,
    cast(case months
        when 1 then date_trunc('month', as_of_date)
        when 3 then date_trunc('quarter', as_of_date)
        when 12 then date_trunc('year', as_of_date)
        else as_of_date - days + 1
    end as date) as period_start
from latest_of_currency
cross join (
    values
        ('day', 1, null), ('7_days', 7, null), ('28_days', 28, null),
        ('month_to_date', null, 1), ('quarter_to_date', null, 3), ('year_to_date', null, 12)
) as spans (period, days, months);

-- name: kpi_period_comparisons
with compared as (
    select
        *,
        'previous_period' as comparison,
        period_start - cast(as_of_date - period_start + 1 as integer) as compared_start,
        period_start - 1 as compared_end
    from periods
    union all
    select *, 'same_weekdays_last_year', period_start - 364, as_of_date - 364
    from periods
    union all
    select
        *,
        'same_elapsed_time',
        cast(period_start - to_months(months) as date),
        least(
            cast(period_start - to_months(months) as date) + cast(as_of_date - period_start as integer), period_start - 1
        )
    from periods
    where months is not null
), windows as (
    select *, 'now' as side, period_start as starts, as_of_date as ends from compared
    union all
    select *, 'then' as side, compared_start, compared_end from compared
), sums as (
    select
        windows.currency, period, comparison, side, as_of_date, period_start, compared_start, compared_end, first_date,
        coalesce(sum(gross_sales), 0) as gross_sales,
        coalesce(sum(discounts), 0) as discounts,
        coalesce(sum(returns), 0) as returns,
        coalesce(sum(net_sales), 0) as net_sales,
        coalesce(sum(orders), 0) as orders,
        coalesce(sum(units_sold), 0) as units_sold,
        coalesce(sum(returned_units), 0) as returned_units,
        sum(gross_margin) as gross_margin,
        coalesce(sum(costed_net_sales), 0) as costed_net_sales,
        coalesce(sum(cancelled_value), 0) as cancelled_value,
        coalesce(sum(cancelled_orders), 0) as cancelled_orders
    from windows
    left join totals on totals.currency = windows.currency and sale_date between starts and ends
    where ends >= first_date
    group by all
), figures as (
    -- v_*: values, of which a change can be told as a share; r_*: rates, of which it is told in points.
    select
        currency, period, comparison, side, as_of_date, period_start, compared_start, compared_end, first_date,
        columns(sums.* exclude (
            currency, period, comparison, side, as_of_date, period_start, compared_start, compared_end, first_date
        )) as 'v_\0',
        net_sales / nullif(orders, 0) as v_average_transaction_value,
        units_sold / nullif(orders, 0) as v_units_per_order,
        gross_margin / nullif(costed_net_sales, 0) as r_margin_rate,
        costed_net_sales / nullif(net_sales, 0) as r_cost_coverage_rate,
        discounts / nullif(gross_sales, 0) as r_discount_rate,
        returned_units / nullif(units_sold, 0) as r_return_rate,
        cancelled_orders / nullif(orders + cancelled_orders, 0) as r_cancellation_rate
    from sums
)
select
    currency, period, comparison, as_of_date, period_start, compared_start, compared_end,
    as_of_date - period_start + 1 as period_days,
    compared_end - compared_start + 1 as compared_days,
    first_date <= compared_start as is_complete,
    max(columns('[vr]_(.*)')) filter (where side = 'now') as '\1',
    max(columns('[vr]_(.*)')) filter (where side = 'then') as '\1_compared',
    max(columns('[vr]_(.*)')) filter (where side = 'now' and first_date <= compared_start)
        - max(columns('[vr]_(.*)')) filter (where side = 'then') as '\1_delta',
    max(columns('v_(.*)')) filter (where side = 'now' and first_date <= compared_start)
        / nullif(greatest(max(columns('v_(.*)')) filter (where side = 'then'), 0), 0) - 1 as '\1_delta_rate'
from figures
group by currency, period, comparison, as_of_date, period_start, compared_start, compared_end, first_date;

-- name: kpi_movers
with members as (
    select currency, sale_date, 'product' as dimension, product_id as member, m_net_sales as net_sales from measured
    union all
    select currency, sale_date, 'category', product_category, m_net_sales from measured
    union all
    select currency, sale_date, 'region', sales_region, m_net_sales from measured
), spans as (
    select *, period_start - cast(as_of_date - period_start + 1 as integer) as previous_start
    from periods
    where period in ('7_days', '28_days') and first_date <= period_start - cast(as_of_date - period_start + 1 as integer)
), changed as (
    select
        spans.currency, period, as_of_date, dimension, member,
        coalesce(sum(net_sales) filter (where sale_date >= period_start), 0) as net_sales,
        coalesce(sum(net_sales) filter (where sale_date < period_start), 0) as previous_net_sales
    from spans
    inner join members on members.currency = spans.currency and sale_date between previous_start and as_of_date
    group by all
), whole as (
    select *, sum(net_sales - previous_net_sales) over (partition by currency, period, dimension) as total_delta
    from changed
)
select
    currency, period, dimension, member, as_of_date, net_sales, previous_net_sales,
    net_sales - previous_net_sales as delta,
    case when previous_net_sales >= 100 then net_sales / previous_net_sales - 1 end as delta_rate,
    total_delta,
    (net_sales - previous_net_sales) / nullif(total_delta, 0) as contribution_rate
from whole
where net_sales >= 100 or previous_net_sales >= 100;

-- name: kpi_sales_targets
-- Nobody has changed one.
select month, place_type, place, currency, target_net_sales from sales_targets;

-- name: kpi_target_attainment
-- A month without any sale is over. What a day in progress sold does not count yet.
with elapsed as (
    select measured.* from measured
    inner join newest_days using (currency)
    where measured.sale_date <= complete_until
), places as (
    select month, currency, 'sales_region' as place_type, sales_region as place, sum(m_net_sales) as net_sales
    from elapsed
    group by all
    union all
    select month, currency, 'store_id', store_id, sum(m_net_sales)
    from elapsed
    group by all
), bounds as (
    select currency, cast(date_trunc('month', min(sale_date)) as date) as first_month from totals group by currency
), targets as (
    select sales_targets.* from sales_targets
    inner join bounds using (currency)
    where month between first_month and (select month from latest)
)
select
    month, place_type, place, currency,
    coalesce(places.net_sales, 0) as net_sales,
    target_net_sales, coalesce(share_elapsed, 1) as share_elapsed,
    round(cast(target_net_sales as double) * coalesce(share_elapsed, 1), 2) as target_to_date,
    cast(coalesce(places.net_sales, 0) as double) - round(cast(target_net_sales as double) * coalesce(share_elapsed, 1), 2) as gap,
    cast(coalesce(places.net_sales, 0) as double)
        / nullif(round(cast(target_net_sales as double) * coalesce(share_elapsed, 1), 2), 0) as attainment_rate
from (
    select places.* from places
    where (month, place_type, currency) in (select (month, place_type, currency) from targets)
) as places
full join targets using (month, place_type, place, currency)
left join shares using (month, currency);

-- name: kpi_reporting_currencies
select
    currency, 'USD' as reporting_currency, first_sale_date, first_rate_date,
    currency = 'USD' or coalesce(first_rate_date <= first_sale_date, false) as is_convertible
from (select currency, min(sale_date) as first_sale_date from measured group by currency) as sales
left join (
    select currency, min(rate_date) as first_rate_date from currency_rates
    where reporting_currency = 'USD'
    group by currency
) as rates using (currency);

-- name: kpi_reporting_daily_sales
-- In the reporting currency, at the latest rate on or before the date; rounded at the day, place and currency.
with placed as (
    select sale_date, sales_region, sales_channel, currency, sum(columns('m_(.*)')) as '\1'
    from measured
    group by all
), completed as (
    select
        sale_date, sales_region, sales_channel, currency,
        count(*) filter (where is_completed) as orders,
        count(*) filter (where not is_completed) as cancelled_orders
    from orders
    group by all
), rated as (
    select
        placed.*, coalesce(orders, 0) as orders, coalesce(cancelled_orders, 0) as cancelled_orders,
        rate_date,
        case when placed.currency = 'USD' then cast(1 as decimal(18, 6)) else rate end as rate
    from placed
    left join completed using (sale_date, sales_region, sales_channel, currency)
    asof left join (select * from currency_rates where reporting_currency = 'USD') as rates
        on rates.currency = placed.currency and placed.sale_date >= rate_date
), converted as (
    select
        sale_date, sales_region, sales_channel, orders, cancelled_orders, units_sold, returned_units, lines,
        round(gross_sales * rate, 2) as gross_sales,
        round(discounts * rate, 2) as discounts,
        round(returns * rate, 2) as returns,
        round(cancelled_value * rate, 2) as cancelled_value,
        round(cost_amount * rate, 2) as cost_amount,
        round(costed_net_sales * rate, 2) as costed_net_sales,
        rate_date
    from rated
)
select
    sale_date, sales_region, sales_channel, 'USD' as reporting_currency, min(rate_date) as oldest_rate_date,
    sum(columns(* exclude (sale_date, sales_region, sales_channel, rate_date))),
    sum(gross_sales - discounts - returns) as net_sales,
    sum(costed_net_sales - cost_amount) as gross_margin
from converted
group by sale_date, sales_region, sales_channel;

-- name: kpi_volume_anomalies
with bounds as (
    select currency, min(sale_date) as first_date, max(sale_date) as last_date from totals group by currency
), days as (
    select
        bounds.currency, day as sale_date, coalesce(lines, 0) as lines, coalesce(net_sales, 0) as net_sales
    from bounds
    cross join lateral (select cast(unnest(generate_series(first_date, last_date, interval 1 day)) as date) as day)
    left join totals on totals.currency = bounds.currency and totals.sale_date = day
), against as (
    select
        *,
        count(*) over earlier as baseline_weeks,
        avg(cast(lines as double)) over earlier as mean_lines,
        stddev_samp(cast(lines as double)) over earlier as deviation_lines,
        avg(cast(net_sales as double)) over earlier as mean_net,
        stddev_samp(cast(net_sales as double)) over earlier as deviation_net
    from days
    window earlier as (
        partition by currency, isodow(sale_date) order by sale_date rows between 8 preceding and 1 preceding
    )
), scored as (
    select
        *,
        case
            when baseline_weeks >= 4
                then round((lines - mean_lines) / nullif(greatest(deviation_lines, 0.05 * abs(mean_lines)), 0), 4)
        end as lines_z_score,
        case
            when baseline_weeks >= 4
                then round((cast(net_sales as double) - mean_net) / nullif(greatest(deviation_net, 0.05 * abs(mean_net)), 0), 4)
        end as net_sales_z_score
    from against
)
select
    currency, sale_date, lines, net_sales, baseline_weeks, lines_z_score, net_sales_z_score,
    coalesce(abs(lines_z_score) > 4, false) or coalesce(abs(net_sales_z_score) > 4, false) as is_anomaly
from scored;

-- name: ops_revenue_at_risk
select file_id, key, feed, count(*) as rejected_rows, count(revenue) as readable_rows, sum(revenue) as revenue_at_risk
from rejected_rows
group by all;

-- name: kpi_monthly_customers
select
    month, currency,
    count(*) as customers,
    count(*) filter (where cohort_month = month) as new_customers,
    count(*) filter (where orders >= 2) as repeat_customers,
    sum(orders) as orders,
    count(*) filter (where orders >= 2) / count(*) as repeat_rate,
    sum(orders) / count(*) as orders_per_customer,
    month = first_month as is_first_month,
    last_day(month) <= as_of_date as is_month_complete
from customer_months
inner join as_of using (currency)
where orders > 0
group by month, currency, first_month, as_of_date;
