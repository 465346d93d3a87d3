{% macro contracted_type(column) -%}
    {#- The sum of integers is a numeric; a mart's counts are integers again. A unit test has no contract. -#}
    {{ return(model.columns[column].data_type if column in model.columns else 'numeric') }}
{%- endmacro %}

{% macro maintained_sums(keys, sums, new, old, known=none) -%}
    {#- Published sums + what the changed rows add − what they added before: the same as to sum everything anew, at the
        cost of the changed rows. Exact, because every sum is an integer or a numeric. `known`: rows that both read. -#}
    {%- if not increments() -%}
    select
        {%- for key in keys %}
        {{ key }},
        {%- endfor %}
        {%- for sum in sums %}
        {{ sum }}::{{ contracted_type(sum) }} as {{ sum }}{{ ',' if not loop.last }}
        {%- endfor %}
    from (
        {{ new }}
    ) as sums
    {%- else -%}
    with {% if known -%}
    known as materialized (
        {{ known }}
    ),

    {% endif -%}
    added as (
        {{ new }}
    ),

    removed as (
        {{ old }}
    ),

    changes as (
        select
            {{ keys | join(', ') }},
            {%- for sum in sums %}
            coalesce({{ sum }}, 0) as {{ sum }}{{ ',' if not loop.last }}
            {%- endfor %}
        from added
        union all
        select
            {{ keys | join(', ') }},
            {%- for sum in sums %}
            -coalesce({{ sum }}, 0) as {{ sum }}{{ ',' if not loop.last }}
            {%- endfor %}
        from removed
    ),

    changed as (
        select
            {{ keys | join(', ') }},
            {%- for sum in sums %}
            sum({{ sum }}) as {{ sum }}{{ ',' if not loop.last }}
            {%- endfor %}
        from changes
        group by {{ keys | join(', ') }}
        having ({% for sum in sums %}sum({{ sum }}){{ ', ' if not loop.last }}{% endfor %})
            != ({% for sum in sums %}0{{ ', ' if not loop.last }}{% endfor %})
    )

    select
        {%- for key in keys %}
        changed.{{ key }},
        {%- endfor %}
        {%- for sum in sums %}
        (changed.{{ sum }} + coalesce(published.{{ sum }}, 0))::{{ contracted_type(sum) }} as {{ sum }}{{ ',' if not loop.last }}
        {%- endfor %}
    from changed
    left join {{ this }} as published
        on
        {%- for key in keys %}
            {{ 'and ' if not loop.first }}changed.{{ key }} = published.{{ key }}
        {%- endfor %}
    {%- endif -%}
{%- endmacro %}
