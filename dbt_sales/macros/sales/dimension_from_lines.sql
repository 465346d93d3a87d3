{# Members of a dimension, described as on their last day: by the line of that day that knows the most, then the latest. #}
{% macro last_line_first(attributes) -%}
            {%- for attribute in attributes %}
            {{ attribute }} = 'unknown',
            {%- endfor %}
            sold_at desc,
            file_id desc,
            row_number desc
{%- endmacro %}

{% macro dimension_from_lines(key, attributes=[], values=[], days=none, other_lines=none) -%}
{%- set lines = ref('fct_sales_lines') -%}
{%- set dated_by = [(days, 'true'), (lines, other_lines)] if days else [(lines, 'true')] -%}
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

losing as (
    select distinct {{ key }}
    from {{ lines }}
    where sale_date = any({{ affected_dates() }})
),

{# What the run leaves of a member: the published row, where lines only come to it; of one that loses lines, whose row may
   tell of these, what its lines of other dates say. `offset 0` has the index asked for one member after the other. -#}
left_alone as (
    select published.*
    from (select {{ key }} from first_new_lines except select {{ key }} from losing) as gaining
    cross join lateral (
        select
            {%- for name in [key] + described %}
            {{ name }},
            {%- endfor %}
            first_line_date,
            last_line_date
        from {{ this }} as member
        where member.{{ key }} = gaining.{{ key }}
        offset 0
    ) as published
    union all
    select
        losing.{{ key }},
        {%- for name in described %}
        described.{{ name }},
        {%- endfor %}
        first_line.sale_date as first_line_date,
        last_line.sale_date as last_line_date
    from losing
    left join last_new_lines using ({{ key }})
    {#- A range of one key, in the order of the index on key and date: with equality the planner may walk the index on
        the date alone, through the whole history of a member that is new or rare. #}
    {%- for name, direction, farthest in [('first_line', 'asc', 'min'), ('last_line', 'desc', 'max')] %}
    left join lateral (
        select {{ farthest }}(kept.sale_date) as sale_date
        from (
            {%- for relation, condition in dated_by %}
            (
                select day.sale_date
                from {{ relation }} as day
                where
                    day.{{ key }} between losing.{{ key }} and losing.{{ key }}
                    and day.sale_date != all({{ affected_dates() }})
                    and {{ condition }}
                order by day.{{ key }} {{ direction }}, day.sale_date {{ direction }}
                limit 1
            )
            {{ 'union all' if not loop.last }}
            {%- endfor %}
        ) as kept
    ) as {{ name }} on true
    {%- endfor %}
    left join lateral (
        select *
        from {{ lines }} as line
        where
            line.{{ key }} = losing.{{ key }}
            and line.sale_date = last_line.sale_date
            and last_line.sale_date > coalesce(last_new_lines.sale_date, '-infinity') -- within: else no line is read
        order by
            {{- last_line_first(attributes) }}
        limit 1
    ) as described on true
),

final as (
    select
        {{ key }},
        {%- for name in described %}
        case
            when coalesce(last_new_lines.sale_date < left_alone.last_line_date, last_new_lines.sale_date is null)
                then left_alone.{{ name }}
            else last_new_lines.{{ name }}
        end as {{ name }},
        {%- endfor %}
        least(first_new_lines.sale_date, left_alone.first_line_date) as first_line_date,
        greatest(last_new_lines.sale_date, left_alone.last_line_date) as last_line_date
    from first_new_lines
    inner join last_new_lines using ({{ key }})
    full join left_alone using ({{ key }})
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
