{{ config(materialized='view') }}

with lines as (
    {{ lines_of_outer_days('store_id', ref('fct_sales_lines')) }}
),

-- Described as on its last day: by the line that knows the most, then the latest.
described as (
    select
        *,
        min(sale_date) over (partition by store_id) as first_line_date,
        row_number() over (
            partition by store_id
            order by
                sale_date desc,
                sales_region = 'unknown',
                sold_at desc,
                file_id desc,
                row_number desc
        ) as nth
    from lines
),

final as (
    select
        store_id,
        sales_region,
        first_line_date,
        sale_date as last_line_date
    from described
    where nth = 1
)

select * from final
