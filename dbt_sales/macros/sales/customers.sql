{# The customers that a run changes, and all that is known of them before and after it. #}
{% macro affected_customers(fact) -%}
    select customer_id from {{ next_of(fact) }}
    union
    select customer_id from {{ fact }} where sale_date = any({{ affected_dates() }})
{%- endmacro %}

{% macro known_of(members, fact, columns, ordered=none, since=none) -%}
    {#- Rows that stay. `offset 0` has the index asked for one member after the other: the planner, which knows nothing of
        how many there are, else reads the whole fact. The index holds these columns, so that the fact is not read.
        With `ordered`, what a first order tells apart: only the rows up to the first date that is `ordered`, and those
        `since` a date. The others count the same before and after, whatever changes. -#}
    {%- set kept -%}
            select {{ columns }}
            from {{ fact }} as history
            where
                history.customer_id = member.customer_id
                and history.sale_date != all({{ affected_dates() }})
    {%- endset -%}
    select known.*
    from {{ members }} as member
    {%- if ordered %}
    {#- A range of one customer: see dimension_from_lines. #}
    left join lateral (
        select first.sale_date
        from {{ fact }} as first
        where
            first.customer_id between member.customer_id and member.customer_id
            and first.sale_date != all({{ affected_dates() }})
            and {{ ordered }}
        order by first.customer_id, first.sale_date
        limit 1
    ) as first_kept on true
    {%- endif %}
    cross join lateral (
        (
            {{ kept }}
            {%- if ordered %}
                and history.sale_date <= coalesce(first_kept.sale_date, 'infinity')
            {%- endif %}
            offset 0
        )
        {%- if since %}
        union all
        (
            {{ kept }}
                and history.sale_date >= {{ since }}
                and history.sale_date > first_kept.sale_date
            offset 0
        )
        {%- endif %}
    ) as known
{%- endmacro %}

{% macro first_affected_month() -%}
    (
        select date_trunc('month', min(affected.sale_date))::date
        from unnest({{ affected_dates() }}) as affected (sale_date)
    )
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
