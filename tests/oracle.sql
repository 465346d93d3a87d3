-- What the KPIs are, in DuckDB, from the accepted rows of the sheets alone. Written from the definitions (the marts'
-- descriptions in dbt_sales/), not from the marts' SQL. A statement called kpi_* or ops_* gives that mart; the others
-- prepare tables, in the order in which they stand. sales_lines holds one row per accepted row of a sheet that counts.

-- name: measured
-- One row per line: what it is of, and as m_* what it adds to every additive measure.
create table measured as
with amounts as (
    select
        *,
        round(abs(quantity) * unit_price, 2) as amount,
        round(abs(quantity) * unit_price * coalesce(discount_rate, 0), 2) as discount,
        line_type = 'sale' as is_sale,
        line_type = 'return' as is_return,
        cast(date_trunc('month', sale_date) as date) as month
    from sales_lines
), netted as (
    select
        *,
        case when is_sale then amount - discount when is_return then discount - amount else 0 end as net,
        case when is_sale or is_return then quantity_sign * abs(quantity) * unit_cost end as cost
    from amounts, lateral (select case when is_return then -1 else 1 end as quantity_sign)
)
select
    feed, file_id, row_number, sale_id, sold_at, sale_date, month, line_type, customer_id, currency,
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
    case when line_type = 'adjustment' then round(quantity * unit_price, 2) else 0 end as adjusted,
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
        sum(m_gross_sales - m_discounts) over (partition by feed, sale_id, sale_date) as order_value,
        sum(m_units_sold) over (partition by feed, sale_id, sale_date) as order_units
    from measured
    where line_type in ('sale', 'cancellation')
)
select
    feed, sale_id, sale_date, month, sold_at as ordered_at, is_completed, order_value, order_units,
    customer_id, currency, store_id, sales_region, sales_channel, sales_representative
from ranked
where position = 1;

-- name: latest
create table latest as
select
    max(sale_date) as sale_date,
    cast(date_trunc('month', max(sale_date)) as date) as month
from measured;

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

-- name: kpi_daily_product_sales
select
    sale_date, product_id, currency,
    last(product_name order by file_id, row_number) as product_name,
    last(product_category order by file_id, row_number) as product_category,
    count(distinct (feed, sale_id)) filter (where line_type = 'sale') as orders,
    sum(columns('m_(.*)')) as '\1'
from measured
group by sale_date, product_id, currency;

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
-- A return is of the latest completed order of its number up to its own day; else it is taken to be of that day.
create table original_returns as
select
    *,
    coalesce(
        (
            select max(orders.sale_date) from orders
            where
                is_completed and orders.feed = measured.feed and orders.sale_id = measured.sale_id
                and orders.sale_date <= measured.sale_date
        ),
        sale_date
    ) as original_sale_date
from measured
where line_type = 'return';

-- name: kpi_daily_original_returns
select
    original_sale_date, sale_date, product_id, store_id, sales_region, sales_channel, sales_representative, currency,
    sum(m_returns) as returns,
    sum(m_returned_units) as returned_units
from original_returns
group by all;

-- name: baskets
create table baskets as
select feed, sale_id, sale_date, month, list_sort(list(distinct product_id)) as products
from measured
where line_type = 'sale'
group by all
having count(distinct product_id) <= 100;

-- name: kpi_monthly_product_pairs
with items as (
    select feed, sale_id, sale_date, month, unnest(products) as product_id from baskets
)
select a.month, a.product_id as product_a, b.product_id as product_b, count(*) as orders
from items as a
inner join items as b
    on b.feed = a.feed and b.sale_id = a.sale_id and b.sale_date = a.sale_date and b.product_id > a.product_id
group by all;

-- name: customers
-- Grain: customer and currency; customers who only gave back have no first order.
create table customers as
with ordered as (
    select
        customer_id, currency,
        count(*) as orders,
        min(sale_date) as first_order_date,
        max(sale_date) as last_order_date,
        first(sale_id order by sale_date, ordered_at, feed, sale_id) as first_order_id,
        count(*) filter (where sale_date > (select sale_date - 365 from latest)) as orders_365
    from orders
    where is_completed and customer_id <> 'unknown'
    group by all
), netted as (
    select
        customer_id, currency,
        sum(m_net_sales) as net_sales,
        coalesce(sum(m_net_sales) filter (where sale_date > (select sale_date - 365 from latest)), 0) as net_sales_365
    from measured
    where line_type in ('sale', 'return') and customer_id <> 'unknown'
    group by all
)
select
    customer_id, currency, first_order_date, first_order_id, last_order_date,
    coalesce(orders, 0) as orders, net_sales, coalesce(orders_365, 0) as orders_365, net_sales_365
from netted
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
    sum(order_value) as order_value
from numbered
group by all;

-- name: customer_months
-- What each customer did in a month, in the cohort of the month of the first completed order in that currency.
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
left join ordered using (month, customer_id, currency)
where first_order_date is not null;

-- name: kpi_cohort_months
select
    cohort_month, month, currency,
    count(*) filter (where orders > 0) as active_customers,
    count(*) filter (where orders >= 2) as repeat_customers,
    sum(orders) as orders,
    sum(net_sales) as net_sales
from customer_months
group by all;

-- name: kpi_cohort_retention
-- Every month from a cohort's own to the latest one, whether anybody came back or not.
with sizes as (
    select cohort_month, currency, count(distinct customer_id) as cohort_size
    from customer_months
    where cohort_month = month
    group by all
), months as (
    select cohort_month, currency, cohort_size, cast(unnest(generate_series(cohort_month, latest.month, interval 1 month)) as date) as month
    from sizes, latest
), active as (
    select
        cohort_month, month, currency,
        count(*) filter (where orders > 0) as active_customers,
        sum(net_sales) as net_sales
    from customer_months
    group by all
)
select
    cohort_month, month, currency, cohort_size,
    date_diff('month', cohort_month, month) as months_since,
    coalesce(active_customers, 0) as active_customers,
    coalesce(active_customers, 0) / cohort_size as retention_rate,
    coalesce(net_sales, 0) as net_sales,
    coalesce(net_sales, 0) / cohort_size as net_sales_per_member
from months
left join active using (cohort_month, month, currency);

-- name: kpi_monthly_repeat_customers
select
    month, currency,
    count(*) as customers,
    count(*) filter (where orders >= 2) as repeat_customers,
    count(*) filter (where orders >= 2) / count(*) as repeat_rate
from customer_months
where orders > 0
group by all;

-- name: kpi_customer_rfm
select
    customer_id, currency,
    latest.sale_date - last_order_date as recency_days,
    orders_365 as frequency,
    net_sales_365 as monetary,
    ntile(5) over (partition by currency order by last_order_date, customer_id) as recency_score,
    ntile(5) over (partition by currency order by orders_365, customer_id) as frequency_score,
    ntile(5) over (partition by currency order by net_sales_365, customer_id) as monetary_score
from customers, latest
where orders_365 > 0;

-- name: kpi_product_abc
with yearly as (
    select product_id, currency, sum(m_net_sales) as net_sales
    from measured, latest
    where measured.month > latest.month - interval 12 month
    group by all
), shared as (
    select
        *,
        sum(net_sales) over (partition by currency order by net_sales desc, product_id rows unbounded preceding)
            / sum(net_sales) over (partition by currency) as cumulative_share
    from yearly
)
select
    product_id, currency, net_sales, cumulative_share,
    case when cumulative_share <= 0.8 then 'A' when cumulative_share <= 0.95 then 'B' else 'C' end as abc_class
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
    net_sales / nullif(orders, 0) as aov,
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

-- name: shares
-- How much of a month has passed in each currency, and what it sold so far.
create table shares as
with monthly as (
    select
        cast(date_trunc('month', sale_date) as date) as month, currency,
        sum(net_sales) as net_sales, max(sale_date) as last_sale_date
    from totals
    group by all
)
select
    month, currency, net_sales, last_sale_date,
    case
        when month < max(month) over (partition by currency) then 1
        else sum(weight) filter (where day <= last_sale_date) / sum(weight)
    end as share_elapsed
from monthly
cross join lateral (
    select cast(unnest(generate_series(month, last_day(month), interval 1 day)) as date) as day
)
inner join weekday_weights using (month, currency)
where weekday = isodow(day)
group by month, currency, net_sales, last_sale_date;

-- name: kpi_monthly_run_rate
select
    shares.month, shares.currency, shares.net_sales, shares.last_sale_date, shares.share_elapsed,
    cast(shares.net_sales as double) / nullif(shares.share_elapsed, 0) as run_rate,
    previous.net_sales as previous_month_net_sales
from shares
left join shares as previous
    on previous.currency = shares.currency and previous.month = shares.month - interval 1 month;

-- name: kpi_product_pairs
with counted as (
    select month, count(*) as all_orders from orders where is_completed group by all
), items as (
    select feed, sale_id, sale_date, month, unnest(products) as product_id from baskets
), alone as (
    select month, product_id, count(*) as orders from items group by all
), pairs as (
    select a.month, a.product_id as product_a, b.product_id as product_b, count(*) as orders
    from items as a
    inner join items as b
        on b.feed = a.feed and b.sale_id = a.sale_id and b.sale_date = a.sale_date and b.product_id > a.product_id
    group by all
)
select
    pairs.month, product_a, product_b, pairs.orders,
    pairs.orders / all_orders as support,
    pairs.orders / a.orders as confidence,
    pairs.orders * all_orders / (a.orders * b.orders) as lift
from pairs
inner join counted using (month)
inner join alone as a on a.month = pairs.month and a.product_id = product_a
inner join alone as b on b.month = pairs.month and b.product_id = product_b;

-- name: kpi_price_volume_mix
-- Of each product that sold in a month or in the one before, where the change of its net sales comes from: other
-- prices for what is sold now, more or fewer units of everything, and another share of the units. A product without
-- units before, or without a price then, is all mix.
with monthly as (
    select month, product_id, currency, sum(m_net_sales) as net_sales, sum(m_units_sold) as units
    from measured
    group by all
), compared as (
    select
        coalesce(now.month, cast(before.month + interval 1 month as date)) as month,
        coalesce(now.product_id, before.product_id) as product_id,
        coalesce(now.currency, before.currency) as currency,
        coalesce(now.net_sales, 0) as net_sales,
        coalesce(before.net_sales, 0) as previous_net_sales,
        coalesce(now.units, 0) as units,
        coalesce(before.units, 0) as previous_units
    from monthly as now
    full join monthly as before
        on before.month + interval 1 month = now.month
        and before.product_id = now.product_id and before.currency = now.currency
    where coalesce(now.month, before.month + interval 1 month) <= (select month from latest)
), grown as (
    select
        *,
        sum(units) over (partition by month, currency) / nullif(sum(previous_units) over (partition by month, currency), 0)
            as growth
    from compared
), effects as (
    select
        *,
        net_sales - previous_net_sales as net_sales_change,
        case when units > 0 and previous_units > 0 then net_sales - previous_net_sales * units / previous_units else 0 end
            as price_effect,
        case when previous_units > 0 then coalesce(previous_net_sales * (growth - 1), 0) else 0 end as volume_effect
    from grown
)
select
    month, product_id, currency, net_sales, previous_net_sales, net_sales_change, price_effect, volume_effect,
    net_sales_change - price_effect - volume_effect as mix_effect
from effects;

-- name: kpi_product_ratings
select
    sale_date, product_id, sum(columns('m_(ratings_.)')) as '\1'
from measured
group by sale_date, product_id;

-- name: kpi_rep_ratings
select
    sale_date, sales_representative, sum(columns('m_(ratings_.)')) as '\1'
from measured
group by sale_date, sales_representative;

-- name: kpi_daily_fulfilment
select
    sale_date, store_id, sales_region, sales_channel, sales_representative, currency,
    sum(m_delivered_lines) as delivered_lines,
    sum(m_delivered_on_time_lines) as delivered_on_time_lines,
    sum(m_delivery_days) as delivery_days,
    sum(m_delivered_on_time_lines) / nullif(sum(m_delivered_lines), 0) as on_time_rate,
    sum(m_delivery_days) / nullif(sum(m_delivered_lines), 0) as average_delivery_days
from measured
group by all;

-- name: kpi_pending_payments
select
    sale_date, currency,
    sum(m_pending_payment_value) as pending_payment_value,
    (select latest.sale_date from latest) - sale_date as age_days
from measured
group by all
having sum(m_pending_payment_value) <> 0;

-- name: periods
-- The spans up to the latest sale date of a currency.
create table periods as
with latest_of_currency as (
    select currency, max(sale_date) as as_of_date, min(sale_date) as first_date from totals group by currency
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
), figures as (
    select
        compared.currency, period, comparison, as_of_date, period_start, compared_start, compared_end, first_date,
        now.*, before.*
    from compared
    cross join lateral (
        select
            coalesce(sum(gross_sales), 0) as gross_sales, coalesce(sum(discounts), 0) as discounts,
            coalesce(sum(returns), 0) as returns, coalesce(sum(net_sales), 0) as net_sales,
            coalesce(sum(orders), 0) as orders, coalesce(sum(units_sold), 0) as units_sold,
            coalesce(sum(returned_units), 0) as returned_units, coalesce(sum(cancelled_value), 0) as cancelled_value,
            coalesce(sum(cancelled_orders), 0) as cancelled_orders
        from totals
        where totals.currency = compared.currency and sale_date between period_start and as_of_date
    ) as now
    cross join lateral (
        select
            sum(gross_sales) as gross_sales_then, sum(discounts) as discounts_then, sum(returns) as returns_then,
            sum(net_sales) as net_sales_then, sum(orders) as orders_then, sum(units_sold) as units_sold_then,
            sum(returned_units) as returned_units_then, sum(cancelled_value) as cancelled_value_then,
            sum(cancelled_orders) as cancelled_orders_then
        from totals
        where totals.currency = compared.currency and sale_date between compared_start and compared_end
    ) as before
)
select
    currency, period, comparison, as_of_date, period_start, compared_start, compared_end,
    as_of_date - period_start + 1 as period_days,
    compared_end - compared_start + 1 as compared_days,
    first_date <= compared_start as is_complete,
    gross_sales, discounts, returns, net_sales, orders, units_sold, returned_units, cancelled_value, cancelled_orders,
    net_sales / nullif(orders, 0) as aov,
    units_sold / nullif(orders, 0) as units_per_order,
    discounts / nullif(gross_sales, 0) as discount_rate,
    returned_units / nullif(units_sold, 0) as return_rate,
    cancelled_orders / nullif(orders + cancelled_orders, 0) as cancellation_rate,
    case when compared_end >= first_date then coalesce(net_sales_then, 0) end as net_sales_compared,
    case when compared_end >= first_date then coalesce(orders_then, 0) end as orders_compared,
    case when compared_end >= first_date then coalesce(units_sold_then, 0) end as units_sold_compared,
    case when compared_end >= first_date then coalesce(gross_sales_then, 0) end as gross_sales_compared,
    case when compared_end >= first_date then coalesce(discounts_then, 0) end as discounts_compared,
    case when compared_end >= first_date then coalesce(returns_then, 0) end as returns_compared,
    case when compared_end >= first_date then coalesce(returned_units_then, 0) end as returned_units_compared,
    case when compared_end >= first_date then coalesce(cancelled_value_then, 0) end as cancelled_value_compared,
    case when compared_end >= first_date then coalesce(cancelled_orders_then, 0) end as cancelled_orders_compared,
    net_sales_then / nullif(orders_then, 0) as aov_compared,
    case when first_date <= compared_start then net_sales - coalesce(net_sales_then, 0) end as net_sales_delta,
    case when first_date <= compared_start then orders - coalesce(orders_then, 0) end as orders_delta,
    case when first_date <= compared_start then units_sold - coalesce(units_sold_then, 0) end as units_sold_delta,
    case when first_date <= compared_start and net_sales_then > 0 then net_sales / net_sales_then - 1 end
        as net_sales_delta_rate,
    case when first_date <= compared_start and orders_then > 0 then orders / orders_then - 1 end as orders_delta_rate
from figures;

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
    where first_date <= period_start - cast(as_of_date - period_start + 1 as integer)
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

-- name: kpi_target_attainment
with places as (
    select month, currency, 'sales_region' as place_type, sales_region as place, sum(m_net_sales) as net_sales
    from measured
    group by all
    union all
    select month, currency, 'store_id', store_id, sum(m_net_sales)
    from measured
    group by all
), targets as (
    select * from sales_targets
    where
        month between (select cast(date_trunc('month', min(sale_date)) as date) from totals)
        and (select month from latest)
)
select
    month, place_type, place, currency,
    coalesce(places.net_sales, 0) as net_sales,
    target_net_sales, share_elapsed,
    round(cast(target_net_sales as double) * share_elapsed, 2) as target_to_date,
    cast(coalesce(places.net_sales, 0) as double) - round(cast(target_net_sales as double) * share_elapsed, 2) as gap,
    cast(coalesce(places.net_sales, 0) as double)
        / nullif(round(cast(target_net_sales as double) * share_elapsed, 2), 0) as attainment_rate
from (
    select places.* from places
    where (month, place_type, currency) in (select (month, place_type, currency) from targets)
) as places
full join targets using (month, place_type, place, currency)
inner join shares using (month, currency);

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
        round(cancelled_value * rate, 2) as cancelled_value
    from rated
)
select
    sale_date, sales_region, sales_channel,
    sum(columns(* exclude (sale_date, sales_region, sales_channel))),
    sum(gross_sales - discounts - returns) as net_sales
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
select file_id, key, rows as rows_rejected, coalesce(revenue, 0) as revenue_at_risk from at_risk where rows > 0;
