{# Members of a dimension, described as on their last day: by the line of that day that knows the most, then the latest. #}
{% macro last_line_first(attributes) -%}
            {%- for attribute in attributes %}
            {{ attribute }} = 'unknown',
            {%- endfor %}
            sold_at desc,
            file_id desc,
            row_number desc
{%- endmacro %}

{% macro dimension_from_lines(key, attributes=[], values=[], days=none) -%}
{%- set lines = ref('fct_sales_lines') -%}
with
{%- if increments() %}
members as (
    {{ affected_members(key, lines) }}
),

{# A range of one key, in the order of the index on key and date: with equality the planner may walk the index on the date
   alone, through the whole history of a member that is new or rare. -#}
staying as (
    select
        members.{{ key }},
        first.sale_date as first_line_date,
        last.sale_date as last_line_date
    from members
    {%- for name, direction in [('first', 'asc'), ('last', 'desc')] %}
    left join lateral (
        select day.sale_date
        from {{ days or lines }} as day
        where
            day.{{ key }} between members.{{ key }} and members.{{ key }}
            and day.sale_date != all({{ affected_dates() }})
        order by day.{{ key }} {{ direction }}, day.sale_date {{ direction }}
        limit 1
    ) as {{ name }} on true
    {%- endfor %}
),

lines as (
    select line.*
    from staying
    cross join lateral (
        select * from {{ lines }} as kept
        where kept.{{ key }} = staying.{{ key }} and kept.sale_date = staying.last_line_date
        offset 0
    ) as line
    union all
    select * from {{ next_of(lines) }}
),
{%- else %}
lines as (
    select * from {{ whole(lines) }} as line
),
{%- endif %}

last_lines as (
    select distinct on ({{ key }}) *
    from lines
    order by
            {{ key }},
            sale_date desc,
            {{- last_line_first(attributes) }}
),

first_lines as (
    select
        {{ key }},
        min(sale_date) as sale_date
    from lines
    group by {{ key }}
),

final as (
    select
        {{ key }},
        {%- for name in attributes + values %}
        last_lines.{{ name }},
        {%- endfor %}
        {{ 'least(first_lines.sale_date, staying.first_line_date)' if increments() else 'first_lines.sale_date' }}
            as first_line_date,
        last_lines.sale_date as last_line_date
    from last_lines
    inner join first_lines using ({{ key }})
    {{ 'right join staying using (' ~ key ~ ')' if increments() }}
)

select * from final
{%- endmacro %}

{% macro dimension_by_index(key, attributes=[]) -%}
{#- Of a dimension with few members, as a view: from member to member along the index on key and date, without reading the
    lines in between. PostgreSQL has no such scan of its own (https://wiki.postgresql.org/wiki/Loose_indexscan). -#}
{%- set lines -%}(select * from {{ ref('fct_sales_lines') }}){%- endset -%}
with recursive members as (
    (select {{ key }} from {{ lines }} as line order by {{ key }} limit 1)
    union all
    select (
        select line.{{ key }} from {{ lines }} as line
        where line.{{ key }} > members.{{ key }}
        order by line.{{ key }}
        limit 1
    )
    from members
    where members.{{ key }} is not null
),

final as (
    select
        members.{{ key }},
        {%- for name in attributes %}
        described.{{ name }},
        {%- endfor %}
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
    cross join lateral (
        select *
        from {{ lines }} as line
        where line.{{ key }} = members.{{ key }} and line.sale_date = last_line.sale_date
        order by
            {{- last_line_first(attributes) }}
        limit 1
    ) as described
)

select * from final
{%- endmacro %}
