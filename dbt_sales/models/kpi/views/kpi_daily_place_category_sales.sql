{{ config(materialized='view', served=true) }}

-- Summed when it is asked for: of a category in one place, which is seldom looked at over many dates. An order is
-- counted once for each category, where its first line of that was sold.
with lines as (
    select
        *,
        row_number() over (
            partition by sale_date, currency, feed, sale_id, product_category, line_type order by file_id, row_number
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
        product_category,
        currency,
        count(*) filter (where line_type = 'sale' and nth = 1) as orders,
        {{ line_measures() }}
    from lines
    group by sale_date, store_id, sales_region, sales_channel, sales_representative, product_category, currency
)

{{ with_served('final') }}
