{{ config(materialized='view', served=true) }}

-- The finest grain, nearly a row a line: summed when it is asked for, of the few dates that anybody asks it for. An
-- order is counted once for each product, where its first line of that was sold.
with lines as (
    select
        *,
        row_number() over (
            partition by sale_date, currency, feed, sale_id, product_id, line_type order by file_id, row_number
        ) as nth
    from {{ ref('fct_sales_lines') }}
),

final as (
    select
        sale_date,
        store_id,
        sales_region,
        sales_channel,
        sales_representative,
        product_id,
        product_category,
        currency,
        count(*) filter (where line_type = 'sale' and nth = 1) as orders,
        {{ line_measures() }}
    from lines
    group by
        sale_date,
        store_id,
        sales_region,
        sales_channel,
        sales_representative,
        product_id,
        product_category,
        currency
)

{{ with_served('final') }}
