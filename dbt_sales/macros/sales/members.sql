{# The members that a run changes, by the column that identifies them: customers, products. #}
{% macro affected_members(key, fact) -%}
    select {{ key }} from {{ next_of(fact) }}
    union
    select {{ key }} from {{ fact }} where sale_date = any({{ affected_dates() }})
{%- endmacro %}

{% macro rows_of(members, key, fact) -%}
    {#- All rows of some members as they will be once the run is published; members that it changes are among them.
        `offset 0` has the index asked for one member after the other: the planner, which knows nothing of how many there
        are, else reads the whole fact. -#}
    (
        select staying.*
        from {{ members }} as member
        cross join lateral (
            select * from {{ fact }} as row
            where row.{{ key }} = member.{{ key }} and row.sale_date != all({{ affected_dates() }})
            offset 0
        ) as staying
        union all
        select * from {{ next_of(fact) }}
    )
{%- endmacro %}

{% macro lines_of_outer_days(key, days) -%}
    {#- The lines of the first and the last day of each member that a run changes, or of all, of which `days` tells the dates:
        enough to describe it. -#}
    {%- set lines = ref('fct_sales_lines') %}
    {%- if increments() %}
    select line.*
    from members
    {#- A range of one key, in the order of the index on key and date: with equality the planner may walk the index on the
        date alone, through the whole history of a member that is new or rare. #}
    {%- for name, direction in [('first', 'asc'), ('last', 'desc')] %}
    cross join lateral (
        select day.sale_date
        from {{ days }} as day
        where
            day.{{ key }} between members.{{ key }} and members.{{ key }}
            and day.sale_date != all({{ affected_dates() }})
        order by day.{{ key }} {{ direction }}, day.sale_date {{ direction }}
        limit 1
    ) as {{ name }}_day
    {%- endfor %}
    cross join lateral ( -- `offset 0`: the planner, which knows nothing of how many members there are, else reads all lines
        select * from {{ lines }} as kept
        where kept.{{ key }} = members.{{ key }} and kept.sale_date in (first_day.sale_date, last_day.sale_date)
        offset 0
    ) as line
    union all
    select * from {{ next_of(lines) }}
    {%- else %}
    select line.*
    from {{ whole(lines) }} as line
    inner join (
        select {{ key }}, min(sale_date) as first_date, max(sale_date) as last_date from {{ whole(days) }} as day group by {{ key }}
    ) as outer_days on line.{{ key }} = outer_days.{{ key }} and line.sale_date in (outer_days.first_date, outer_days.last_date)
    {%- endif %}
{%- endmacro %}
