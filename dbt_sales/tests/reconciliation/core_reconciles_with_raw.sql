{{ config(tags=['publish']) }}
{#- Dates and currencies on which fct_sales_lines differs from the accepted raw rows, whose amounts are computed anew
    here. Nothing is published before every test has passed, so the marts do not wait for this one. #}
-- depends_on: {{ ref('kpi_daily_sales') }}

with costs as (
    select
        *,
        daterange(
            valid_from, lead(valid_from) over (partition by product_id, currency order by valid_from, unit_cost)
        ) as valid
    from {{ ref('product_costs') }}
    where valid_from is not null
),

files as (
    select * from {{ ref('stg_raw_sales__files') }}
),

raw_lines as (
    select
        line.*,
        round(coalesce(line.line_cost, line.quantity * coalesce(line.unit_cost, costs.unit_cost)), 2) as list_cost,
        round(line.line_total, 2) as total
    from {{ affected(ref('stg_raw_sales__sales_lines')) }} as line
    inner join files on line.file_id = files.file_id
    left join costs
        on
            costs.product_id = concat(case when not files.shares_products then files.feed || ':' end, line.product_id)
            and line.currency = costs.currency
            and line.sale_date <@ costs.valid
),

raw_days as (
    select
        sale_date,
        currency,
        count(*) as lines,
        sum(case
            when line_type != 'sale' then 0
            when total is null then round(quantity * unit_price, 2)
            when discount_amount is not null then total + round(discount_amount, 2)
            when discount_rate < 1 then round(line_total / (1 - discount_rate), 2)
            else total
        end) as gross,
        sum(case line_type
            when 'return' then abs(coalesce(total, round(quantity * unit_price, 2))) else 0
        end) as returned,
        sum(case
            when line_type not in ('sale', 'return') then 0
            when total is not null and line_type = 'return' then 0
            when total is not null and discount_amount is not null then round(discount_amount, 2)
            when total is not null and discount_rate < 1 then round(line_total / (1 - discount_rate), 2) - total
            when discount_amount is not null
                then round(discount_amount, 2) * case when line_type = 'return' then -sign(discount_amount) else 1 end
            when discount_rate is not null and line_type = 'return'
                then -abs(round(quantity * unit_price * discount_rate, 2))
            when discount_rate is not null then coalesce(round(quantity * unit_price * discount_rate, 2), 0)
            else 0
        end) as discounts_given,
        sum(case line_type
            when 'adjustment' then coalesce(total, round(quantity * unit_price, 2)) else 0
        end) as adjusted,
        sum(case line_type
            when 'sale' then list_cost
            when 'return' then -abs(list_cost)
        end) as cost
    from raw_lines
    group by sale_date, currency
),

core_days as (
    select
        sale_date,
        currency,
        count(*) as lines,
        sum(gross_amount) as gross,
        sum(net_amount) as net,
        sum(adjustment_value) as adjusted,
        sum(cost_amount) as cost
    from {{ affected(ref('fct_sales_lines')) }} as days
    group by sale_date, currency
)

select
    coalesce(raw_days.sale_date, core_days.sale_date) as sale_date,
    coalesce(raw_days.currency, core_days.currency) as currency,
    raw_days.lines as raw_lines,
    core_days.lines as core_lines,
    raw_days.gross - raw_days.returned - raw_days.discounts_given as raw_net,
    core_days.net as core_net
from raw_days
full join core_days on raw_days.sale_date = core_days.sale_date and raw_days.currency = core_days.currency
where
    (
        raw_days.lines,
        raw_days.gross,
        raw_days.gross - raw_days.returned - raw_days.discounts_given,
        raw_days.adjusted,
        raw_days.cost
    )
    is distinct from (core_days.lines, core_days.gross, core_days.net, core_days.adjusted, core_days.cost)
    and coalesce(raw_days.sale_date, core_days.sale_date) not in ({{ awaited_dates() }})
