{{ config(
    materialized='incremental',
    incremental_strategy='replace_dates',
    on_schema_change='fail',
    indexes=[
        {'columns': ['sale_date', 'feed', 'sale_id'], 'unique': true},
        {'columns': ['customer_id', 'sale_date']},
    ],
) }}

with lines as (
    select *
    from {{ ref('fct_sales_lines') }}
    where {{ is_affected('sale_date') }} and line_type in ('sale', 'cancellation')
),

-- An order belongs to one place only, that of its first sale line, so that orders can be summed over places.
first_lines as (
    select distinct on (sale_date, feed, sale_id) *
    from lines
    order by sale_date, feed, sale_id, line_type = 'cancellation', file_id, row_number
),

totals as (
    select
        sale_date,
        feed,
        sale_id,
        count(*) filter (where line_type = 'sale') as sale_lines,
        sum(gross_amount) as gross_amount,
        sum(discount_amount) as discount_amount,
        sum(units_sold) as units_sold,
        sum(cancelled_value) as cancelled_value
    from lines
    group by sale_date, feed, sale_id
),

final as (
    select
        first_lines.feed,
        first_lines.sale_id,
        first_lines.sale_date,
        case when totals.sale_lines > 0 then 'completed' else 'cancelled' end as order_status,
        first_lines.sold_at as ordered_at,
        first_lines.store_id,
        first_lines.sales_region,
        first_lines.sales_channel,
        first_lines.sales_representative,
        first_lines.currency,
        first_lines.customer_id,
        totals.sale_lines,
        totals.gross_amount,
        totals.discount_amount,
        totals.units_sold,
        totals.cancelled_value
    from first_lines
    inner join totals
        on
            first_lines.sale_date = totals.sale_date
            and first_lines.feed = totals.feed
            and first_lines.sale_id = totals.sale_id
)

select * from final
