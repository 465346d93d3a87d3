{% macro dimension_from_lines(key, attributes=[], values=[]) -%}
{%- set affected_lines = is_affected('sale_date') -%}
{#- In brackets, because `--empty` and `--sample` give the relation an alias of their own. -#}
{%- set lines = '(select * from ' ~ ref('fct_sales_lines') ~ ')' -%}
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

{# A range of one key, in the order of the index on key and date: with equality the planner may walk the index on the
   date alone, through the whole history of a member that is new or rare. -#}
spans as (
    select
        members.{{ key }},
        first_line.sale_date as first_line_date,
        last_line.sale_date as last_line_date
    from members
    {%- for name, direction in [('first_line', 'asc'), ('last_line', 'desc')] %}
    cross join lateral (
        select line.sale_date
        from {{ lines }} as line
        where line.{{ key }} between members.{{ key }} and members.{{ key }}
        order by line.{{ key }} {{ direction }}, line.sale_date {{ direction }}
        limit 1
    ) as {{ name }}
    {%- endfor %}
),

final as (
    select
        spans.{{ key }},
        {%- for attribute in attributes + values %}
        last_line.{{ attribute }},
        {%- endfor %}
        spans.first_line_date,
        spans.last_line_date
    from spans
    cross join lateral (
        select line.*
        from {{ lines }} as line
        where line.{{ key }} = spans.{{ key }} and line.sale_date = spans.last_line_date
        order by
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
