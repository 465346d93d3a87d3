{# The customers that a run changes, and all that is known of them before and after it. #}
{% macro affected_customers(fact) -%}
    select customer_id from {{ next_of(fact) }}
    union
    select customer_id from {{ fact }} where sale_date = any({{ affected_dates() }})
{%- endmacro %}

{% macro known_of(members, fact, columns) -%}
    {#- Rows that stay. `offset 0` has the index asked for one member after the other: the planner, which knows nothing of
        how many there are, else reads the whole fact. The index holds these columns, so that the fact is not read. -#}
    select known.*
    from {{ members }} as member
    cross join lateral (
        select {{ columns }}
        from {{ fact }} as history
        where history.customer_id = member.customer_id and history.sale_date != all({{ affected_dates() }})
        offset 0
    ) as known
{%- endmacro %}

{# Both take what is `known` from a query of that name. #}
{% macro history_before(fact, columns) -%}
    (
        select * from known
        union all
        select {{ columns }} from {{ replaced(fact) }} as gone
    )
{%- endmacro %}

{% macro history_after(fact, columns) -%}
    {%- if increments() -%}
    (
        select * from known
        union all
        select {{ columns }} from {{ next_of(fact) }} as new
    )
    {%- else -%}
    {{ whole(fact) }}
    {%- endif -%}
{%- endmacro %}
