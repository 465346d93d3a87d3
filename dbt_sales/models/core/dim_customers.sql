{{ config(
    materialized='incremental',
    served=true,
    keep='last_line_date is not null',
    unique_key=['customer_id'],
    indexes=[{'columns': ['customer_id'], 'unique': true}],
) }}

with
{% if increments() %}
    members as (
        {{ affected_members('customer_id', ref('fct_sales_lines')) }}
    ),
{% endif %}

lines as (
    {{ lines_of_outer_days('customer_id', ref('fct_customer_days')) }}
),

-- Described as on its last day: by the line that knows the most, then the latest.
described as (
    select
        *,
        min(sale_date) over (partition by customer_id) as first_line_date,
        row_number() over (
            partition by customer_id
            order by
                sale_date desc,
                customer_name = 'unknown',
                sold_at desc,
                file_id desc,
                row_number desc
        ) as nth
    from lines
),

final as (
    select
        customer_id,
        customer_name,
        first_line_date,
        sale_date as last_line_date
    from described
    where nth = 1
)

select * from final
{{ 'right join members using (customer_id)' if increments() }}
