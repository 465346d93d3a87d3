{{ config(
    materialized='incremental',
    next_index='sale_id',
    indexes=[
        {'columns': ['sale_date', 'feed', 'sale_id'], 'unique': true},
        {'columns': ['sale_date', 'customer_id']},
        {'columns': ['sale_id']},
    ],
) }}

{% set by_line = "partition by sale_date, sale_id, feed order by line_type = 'cancellation', file_id, row_number" %}

with lines as (
    select * from {{ affected(ref('fct_sales_lines')) }} as line
    where line_type in ('sale', 'cancellation')
),

-- An order belongs to one place only, that of its first sale line, so that orders can be summed over places.
-- One window over one sort: a join of first lines with totals is planned badly, as nothing is known of either. The
-- number of the sale comes before the feed, which most lines of a day share: it alone tells nearly all of them apart.
whole_orders as (
    select
        *,
        {{ row_number_over('whole_order', by_line) }} as nth,
        sum(case when line_type = 'sale' then 1 else 0 end) over whole_order as sale_lines,
        sum(gross_amount) over whole_order as order_gross_amount,
        sum(discount_amount) over whole_order as order_discount_amount,
        sum(units_sold) over whole_order as order_units_sold,
        sum(cancelled_value) over whole_order as order_cancelled_value
    from lines
    window whole_order as (
        {{ by_line }}
        rows between unbounded preceding and unbounded following
    )
),

final as (
    select
        feed,
        sale_id,
        sale_date,
        case when sale_lines > 0 then 'completed' else 'cancelled' end as order_status,
        sold_at as ordered_at,
        sale_hour,
        store_id,
        sales_region,
        sales_channel,
        sales_representative,
        currency,
        customer_id,
        sale_lines,
        order_gross_amount as gross_amount,
        order_discount_amount as discount_amount,
        order_units_sold as units_sold,
        order_cancelled_value as cancelled_value
    from whole_orders
    where nth = 1
)

select * from final
