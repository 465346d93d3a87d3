{{ config(
    materialized='incremental',
    next_index='sale_id',
    indexes=[
        {'columns': ['sale_date', 'feed', 'sale_id'], 'unique': true},
        {'columns': ['sale_date', 'customer_id']},
        {'columns': ['sale_id']},
    ],
) }}

with lines as (
    select * from {{ affected(ref('fct_sales_lines')) }} as line
    where line_type in ('sale', 'cancellation')
),

-- An order belongs to one place only, that of its first sale line, so that orders can be summed over places.
-- Windows over one sort: a join of first lines with totals is planned badly, as nothing is known of either.
final as (
    select distinct on (sale_date, feed, sale_id)
        feed,
        sale_id,
        sale_date,
        case when bool_or(line_type = 'sale') over whole_order then 'completed' else 'cancelled' end as order_status,
        sold_at as ordered_at,
        store_id,
        sales_region,
        sales_channel,
        sales_representative,
        currency,
        customer_id,
        count(*) filter (where line_type = 'sale') over whole_order as sale_lines,
        sum(gross_amount) over whole_order as gross_amount,
        sum(discount_amount) over whole_order as discount_amount,
        sum(units_sold) over whole_order as units_sold,
        sum(cancelled_value) over whole_order as cancelled_value
    from lines
    window whole_order as (partition by sale_date, feed, sale_id)
    order by sale_date asc, feed asc, sale_id asc, line_type = 'cancellation' asc, file_id asc, row_number asc
)

select * from final
