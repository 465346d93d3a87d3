{{ config(
    materialized='incremental',
    served=true,
    keep='last_line_date is not null',
    unique_key=['product_id'],
    indexes=[{'columns': ['product_id'], 'unique': true}],
) }}

with
{% if increments() %}
    members as (
        {{ affected_members('product_id', ref('fct_sales_lines')) }}
    ),
{% endif %}

lines as (
    {{ lines_of_outer_days('product_id', ref('fct_sales_lines')) }}
),

-- Described as on its last day: by the line that knows the most, then the latest.
described as (
    select
        *,
        min(sale_date) over (partition by product_id) as first_line_date,
        row_number() over (
            partition by product_id
            order by
                sale_date desc,
                product_name = 'unknown',
                product_category = 'unknown',
                sold_at desc,
                file_id desc,
                row_number desc
        ) as nth
    from lines
),

final as (
    select
        product_id,
        product_name,
        product_category,
        unit_price,
        first_line_date,
        sale_date as last_line_date
    from described
    where nth = 1
)

select * from final
{{ 'right join members using (product_id)' if increments() }}
