{# Customers come behind dates: a day's lines are entered side by side, and not each on a page of its own of a large
   index. On which days a customer has lines is told by fct_customer_days. #}
{{ config(
    materialized='incremental',
    next_order='sale_date, product_id',
    indexes=[
        {'columns': ['file_id', 'row_number'], 'unique': true},
        {'columns': ['sale_date', 'customer_id']},
        {'columns': ['product_id', 'sale_date']},
        {'columns': ['store_id', 'sale_date']},
    ],
    meta={'more_indexes': {
        'fct_sales_lines_returns': "(sale_id) where line_type = 'return'",
    }},
) }}

{% set sold_at = local_time('lines.sold_at', 'files.timezone') %}

with lines as (
    select * from {{ affected(ref('stg_raw_sales__sales_lines')) }} as line
),

files as (
    select * from {{ ref('stg_raw_sales__files') }}
),

-- The same identifier in two sheets is the same member only where the feeds of both share it.
named as (
    select
        lines.*,
        files.feed,
        case
            when
                files.times = 'always'
                or files.times = 'sometimes'
                and {{ sold_at }} != date_trunc('day', {{ sold_at }})
                then extract(hour from {{ sold_at }})::integer
        end as sale_hour,
        case
            when files.shares_customers or lines.customer_id = 'unknown' then lines.customer_id
            else files.feed || ':' || lines.customer_id
        end as own_customer_id,
        case
            when files.shares_products or lines.product_id = 'unknown' then lines.product_id
            else files.feed || ':' || lines.product_id
        end as own_product_id,
        case
            when files.shares_stores or lines.store_id = 'unknown' then lines.store_id
            else files.feed || ':' || lines.store_id
        end as own_store_id
    from lines
    inner join files on lines.file_id = files.file_id
),

costs as (
    select
        *,
        lead(valid_from) over (partition by product_id, currency order by valid_from, unit_cost) as next_valid_from
    from {{ ref('product_costs') }}
),

-- Money is rounded once, here at the line; from here on it is only summed, so that totals agree to the cent.
valued as (
    select
        named.*,
        round(named.quantity * named.unit_price, 2) as list_amount,
        round(named.line_total, 2) as total_amount,
        coalesce(
            round(named.discount_amount, 2),
            round(named.quantity * named.unit_price * named.discount_rate, 2),
            -- Ten decimals tell half a cent from what is nearly one, also where the engine divides in binary.
            round((named.line_total / nullif(1 - named.discount_rate, 0))::decimal(38, 10), 2)
            - round(named.line_total, 2),
            0
        ) as stated_discount,
        case
            when named.line_cost is null then coalesce(named.unit_cost, costs.unit_cost) else named.unit_cost
        end as known_unit_cost,
        round(
            coalesce(named.line_cost, named.quantity * coalesce(named.unit_cost, costs.unit_cost)), 2
        ) as list_cost
    from named
    left join costs
        on
            named.own_product_id = costs.product_id
            and named.currency = costs.currency
            and named.sale_date >= costs.valid_from
            and (named.sale_date < costs.next_valid_from or costs.next_valid_from is null)
),

-- Sheets write returns with either sign, hence abs(); a sale keeps its sign. A total that the sheet states is after the
-- discount: net is that total, and gross what it was before.
typed as (
    select
        *,
        case line_type
            when 'sale' then coalesce(total_amount + stated_discount, list_amount) else 0
        end as gross_amount,
        case line_type when 'sale' then stated_discount else 0 end as sale_discount,
        case line_type
            when 'return' then coalesce(abs(total_amount), abs(list_amount) - abs(stated_discount)) else 0
        end as return_amount,
        case line_type when 'sale' then list_cost when 'return' then -abs(list_cost) end as cost_amount,
        case line_type
            when 'cancellation' then coalesce(abs(total_amount), abs(list_amount) - abs(stated_discount)) else 0
        end as cancelled_value,
        case line_type when 'adjustment' then coalesce(total_amount, list_amount) else 0 end as adjustment_value,
        case line_type when 'sale' then quantity else 0 end as units_sold,
        case line_type when 'return' then abs(quantity) else 0 end as returned_units
    from valued
),

final as (
    select
        file_id,
        row_number,
        source_line,
        feed,
        sale_id,
        line_number,
        line_type,
        sold_at,
        sale_date,
        sale_hour,
        own_store_id as store_id,
        sales_region,
        sales_channel,
        sales_representative,
        currency,
        own_customer_id as customer_id,
        customer_name,
        own_product_id as product_id,
        product_name,
        product_category,
        quantity,
        unit_price,
        known_unit_cost as unit_cost,
        gross_amount,
        sale_discount as discount_amount,
        return_amount,
        gross_amount - sale_discount - return_amount as net_amount,
        cost_amount,
        gross_amount - sale_discount - return_amount - cost_amount as gross_margin,
        cancelled_value,
        adjustment_value,
        units_sold,
        returned_units,
        tax_amount,
        shipping_cost,
        payment_method,
        payment_status,
        payment_date,
        customer_rating,
        delivery_status,
        delivery_date
    from typed
)

select * from final
