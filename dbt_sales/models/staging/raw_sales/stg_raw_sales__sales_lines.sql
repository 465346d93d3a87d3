with source as (
    select * from {{ source('raw_sales', 'sales_lines') }}
),

final as (
    select
        file_id,
        row_number,
        source_line,
        sale_id,
        line_number,
        sold_at,
        sale_date,
        line_type,
        product_id,
        coalesce(product_name, 'unknown') as product_name,
        coalesce(product_category, 'unknown') as product_category,
        quantity,
        unit_price,
        line_total,
        discount_rate,
        discount_amount,
        unit_cost,
        line_cost,
        tax_amount,
        shipping_cost,
        currency,
        coalesce(payment_method, 'unknown') as payment_method,
        coalesce(payment_status, 'unknown') as payment_status,
        payment_date,
        coalesce(customer_id, 'unknown') as customer_id,
        coalesce(customer_name, 'unknown') as customer_name,
        coalesce(store_id, 'unknown') as store_id,
        coalesce(sales_channel, 'unknown') as sales_channel,
        coalesce(sales_region, 'unknown') as sales_region,
        coalesce(sales_representative, 'unknown') as sales_representative,
        customer_rating,
        coalesce(delivery_status, 'unknown') as delivery_status,
        delivery_date,
        stated_total,
        stated_cost,
        stated_profit,
        extra
    from source
    {{ 'where sale_date >= (select raw.live_since())' if has_served() }}
)

select * from final
