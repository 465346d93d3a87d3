with lines as (
    select * from {{ ref('stg_raw_sales__sales_lines') }}
),

files as (
    select * from {{ ref('stg_raw_sales__files') }}
),

-- Money is rounded once, here at the line; from here on it is only summed, so that totals agree to the cent.
valued as (
    select
        lines.*,
        files.feed,
        round(lines.quantity * lines.unit_price, 2) as list_amount,
        coalesce(
            round(lines.discount_amount, 2),
            round(lines.quantity * lines.unit_price * lines.discount_rate, 2),
            0
        ) as stated_discount,
        round(lines.quantity * lines.unit_cost, 2) as list_cost
    from lines
    inner join files on lines.file_id = files.file_id
),

-- Sheets write returns with either sign, hence abs(); a sale keeps its sign.
typed as (
    select
        *,
        case line_type when 'sale' then list_amount else 0 end as gross_amount,
        case line_type when 'sale' then stated_discount else 0 end as sale_discount,
        case line_type when 'return' then abs(list_amount) - abs(stated_discount) else 0 end as return_amount,
        case line_type when 'sale' then list_cost when 'return' then -abs(list_cost) end as cost_amount,
        case line_type when 'cancellation' then abs(list_amount) - abs(stated_discount) else 0 end as cancelled_value,
        case line_type when 'adjustment' then list_amount else 0 end as adjustment_value,
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
        store_id,
        sales_region,
        sales_channel,
        sales_representative,
        currency,
        customer_id,
        customer_name,
        product_id,
        product_name,
        product_category,
        quantity,
        unit_price,
        unit_cost,
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
