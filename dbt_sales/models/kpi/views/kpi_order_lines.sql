{{ config(
    materialized='view',
    grants={'select': ['dashboard_customers', 'analyst']},
    post_hook="grant select ({{ model.columns | reject('in', ['customer_id', 'customer_name']) | join(', ') }})"
        ~ " on {{ this }} to dashboard_viewer",
) }}

-- A view: facts and marts are published in one moment, so it is always of the version of the marts.
with lines as (
    select * from {{ ref('fct_sales_lines') }}
),

final as (
    select
        sale_date,
        feed,
        sale_id,
        file_id,
        row_number,
        line_type,
        sold_at,
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
        gross_amount,
        discount_amount,
        return_amount,
        net_amount,
        cost_amount,
        payment_method,
        payment_status,
        payment_date,
        customer_rating,
        delivery_status,
        delivery_date
    from lines
)

select * from final
