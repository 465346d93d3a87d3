{# Members of a dimension, described as on their last day: by the line of that day that knows the most, then the latest. #}
{% macro last_line_first(attributes) -%}
            {%- for attribute in attributes %}
            {{ attribute }} = 'unknown',
            {%- endfor %}
            sold_at desc,
            file_id desc,
            row_number desc
{%- endmacro %}

{% macro dimension_from_lines(key, attributes=[], values=[]) -%}
{%- set lines = ref('fct_sales_lines') -%}
{%- set described = attributes + values -%}
{%- if increments() -%}
{%- set new_lines = next_of(lines) -%}
with last_new_lines as (
    select distinct on ({{ key }}) *
    from {{ new_lines }}
    order by
            {{ key }},
            sale_date desc,
            {{- last_line_first(attributes) }}
),

first_new_lines as (
    select
        {{ key }},
        min(sale_date) as sale_date
    from {{ new_lines }}
    group by {{ key }}
),

members as (
    select {{ key }} from first_new_lines
    union
    select {{ key }} from {{ lines }} where sale_date = any({{ affected_dates() }})
),

{# A range of one key, in the order of the index on key and date: with equality the planner may walk the index on the
   date alone, through the whole history of a member that is new or rare. -#}
spans as (
    select
        members.{{ key }},
        least(first_new_lines.sale_date, first_line.sale_date) as first_line_date,
        greatest(last_new_lines.sale_date, last_line.sale_date) as last_line_date,
        last_line.sale_date as last_kept_date
    from members
    left join first_new_lines using ({{ key }})
    left join last_new_lines using ({{ key }})
    {%- for name, direction in [('first_line', 'asc'), ('last_line', 'desc')] %}
    left join lateral (
        select line.sale_date
        from {{ lines }} as line
        where
            line.{{ key }} between members.{{ key }} and members.{{ key }}
            and line.sale_date != all({{ affected_dates() }})
        order by line.{{ key }} {{ direction }}, line.sale_date {{ direction }}
        limit 1
    ) as {{ name }} on true
    {%- endfor %}
),

final as (
    select
        spans.{{ key }},
        {%- for name in described %}
        case when last_new_lines.sale_date = spans.last_line_date then last_new_lines.{{ name }} else kept.{{ name }} end
            as {{ name }},
        {%- endfor %}
        spans.first_line_date,
        spans.last_line_date
    from spans
    left join last_new_lines using ({{ key }})
    left join lateral (
        select *
        from {{ lines }} as line
        where
            line.{{ key }} = spans.{{ key }}
            and line.sale_date = spans.last_kept_date
            and spans.last_line_date = spans.last_kept_date -- within: of the others no line is read
        order by
            {{- last_line_first(attributes) }}
        limit 1
    ) as kept on true
)
{%- else -%}
with last_lines as (
    select distinct on ({{ key }}) *
    from {{ whole(lines) }} as line
    order by
            {{ key }},
            sale_date desc,
            {{- last_line_first(attributes) }}
),

first_lines as (
    select
        {{ key }},
        min(sale_date) as sale_date
    from {{ whole(lines) }} as line
    group by {{ key }}
),

final as (
    select
        {{ key }},
        {%- for name in described %}
        last_lines.{{ name }},
        {%- endfor %}
        first_lines.sale_date as first_line_date,
        last_lines.sale_date as last_line_date
    from last_lines
    inner join first_lines using ({{ key }})
)
{%- endif %}

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
