{# Members of a dimension, described as on their last day: by the line of that day that knows the most, then the latest. Only
   lines of the first and the last day of a member are read, which `days` tells. #}
{% macro dimension_from_lines(key, attributes=[], values=[], days=ref('fct_sales_lines')) -%}
{%- set lines = ref('fct_sales_lines') -%}
with
{%- if increments() %}
members as (
    {{ affected_members(key, lines) }}
),

{# A range of one key, in the order of the index on key and date: with equality the planner may walk the index on the date
   alone, through the whole history of a member that is new or rare. -#}
spans as (
    select
        members.{{ key }},
        first.sale_date as first_line_date,
        last.sale_date as last_line_date
    from members
    {%- for name, direction in [('first', 'asc'), ('last', 'desc')] %}
    cross join lateral (
        select day.sale_date
        from {{ days }} as day
        where
            day.{{ key }} between members.{{ key }} and members.{{ key }}
            and day.sale_date != all({{ affected_dates() }})
        order by day.{{ key }} {{ direction }}, day.sale_date {{ direction }}
        limit 1
    ) as {{ name }}
    {%- endfor %}
),
{%- else %}
spans as (
    select
        {{ key }},
        min(sale_date) as first_line_date,
        max(sale_date) as last_line_date
    from {{ whole(days) }} as day
    group by {{ key }}
),
{%- endif %}

lines as (
    select line.*
    from spans
    {%- if increments() %}
    cross join lateral ( -- `offset 0`: the planner, which knows nothing of how many members there are, else reads all lines
        select * from {{ lines }} as kept
        where kept.{{ key }} = spans.{{ key }} and kept.sale_date in (spans.first_line_date, spans.last_line_date)
        offset 0
    ) as line
    union all
    select * from {{ next_of(lines) }}
    {%- else %}
    inner join {{ whole(lines) }} as line
        on spans.{{ key }} = line.{{ key }} and line.sale_date in (spans.first_line_date, spans.last_line_date)
    {%- endif %}
),

described as (
    select
        *,
        min(sale_date) over (partition by {{ key }}) as first_line_date,
        row_number() over (
            partition by {{ key }}
            order by
                sale_date desc,
                {%- for attribute in attributes %}
                {{ attribute }} = 'unknown',
                {%- endfor %}
                sold_at desc,
                file_id desc,
                row_number desc
        ) as nth
    from lines
),

final as (
    select
        {{ ([key] + attributes + values) | join(', ') }},
        first_line_date,
        sale_date as last_line_date
    from described
    where nth = 1
)

select * from final
{{ 'right join members using (' ~ key ~ ')' if increments() }}
{%- endmacro %}
