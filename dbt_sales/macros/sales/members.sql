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
