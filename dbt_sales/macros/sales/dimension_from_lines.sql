{% macro dimension_from_lines(key, attributes=[]) -%}
{%- set affected_lines = is_affected('sale_date') -%}
with members as (
    select distinct {{ key }}
    from {{ ref('fct_sales_lines') }}
    where {{ affected_lines }}
    {%- if is_incremental() %}
    union
    {#- A member whose first or last line may be gone; one that only lost lines in between is unchanged. #}
    select {{ key }}
    from {{ this }}
    where {{ affected_lines | replace('sale_date', 'first_line_date') }}
        or {{ affected_lines | replace('sale_date', 'last_line_date') }}
    {%- endif %}
),

final as (
    select
        members.{{ key }},
        {%- for attribute in attributes %}
        last_line.{{ attribute }},
        {%- endfor %}
        first_line.sale_date as first_line_date,
        last_line.sale_date as last_line_date
    from members
    cross join lateral (
        select line.sale_date
        from {{ ref('fct_sales_lines') }} as line
        where line.{{ key }} = members.{{ key }}
        order by line.sale_date
        limit 1
    ) as first_line
    cross join lateral (
        select line.*
        from {{ ref('fct_sales_lines') }} as line
        where line.{{ key }} = members.{{ key }}
        order by
            line.sale_date desc,
            {%- for attribute in attributes %}
            line.{{ attribute }} = 'unknown',
            {%- endfor %}
            line.sold_at desc,
            line.file_id desc,
            line.row_number desc
        limit 1
    ) as last_line
)

select * from final
{%- endmacro %}
