{% macro has_no_customer_day() -%}
    {#- Of a line: fct_customer_days does not tell its day. -#}
    (line_type not in ('sale', 'return') or customer_id = 'unknown')
{%- endmacro %}

{# The customers that a run changes, and all that is known of them before and after it. #}
{% macro affected_customers(fact) -%}
    select customer_id from {{ next_of(fact) }}
    union
    select customer_id from {{ fact }} where sale_date = any({{ affected_dates() }})
{%- endmacro %}

{% macro known_of(members, fact, columns, since=none) -%}
    {#- Rows that stay. `offset 0` has the index asked for one member after the other: the planner, which knows nothing of
        how many there are, else reads the whole fact. The index holds these columns, so that the fact is not read. -#}
    select known.*
    from {{ members }} as member
    cross join lateral (
        select {{ columns }}
        from {{ fact }} as history
        where
            history.customer_id = member.customer_id
            and history.sale_date != all({{ affected_dates() }})
            {%- if since %}
            and history.sale_date >= {{ since }}
            {%- endif %}
        offset 0
    ) as known
{%- endmacro %}

{% macro first_orders_that_stay(members, days) -%}
    {#- Of most customers no more is needed to tell first orders from later ones: where it is early enough, it counts the
        same before and after the run. -#}
    select
        member.customer_id,
        first.sale_date
    from ({{ members }}) as member
    cross join lateral (
        select min(day.sale_date) as sale_date
        from {{ days }} as day
        where
            day.customer_id = member.customer_id
            and day.orders > 0
            and day.sale_date != all({{ affected_dates() }})
    ) as first
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

{% macro fifths_passed(value, comparison, bounds) -%}
    {#- How many fifths of the customers lie wholly on the other side of a value: who is alike is scored alike. By the bounds
        of the fifths, which are found faster than the ranks of all customers. -#}
    {%- for fifth in range(1, 5) -%}
    {{ ' + ' if not loop.first }}({{ value }} {{ comparison }} {{ bounds }}[{{ fifth }}])::integer
    {%- endfor %}
{%- endmacro %}

{% macro customers_up_to(value, direction='asc') -%}
    {#- Of what is `counted` in a query of that name. -#}
        select
            currency,
            {{ value }},
            sum(customers) as customers,
            sum(sum(customers)) over (partition by currency order by {{ value }} {{ direction }}) as reached,
            sum(sum(customers)) over (partition by currency) as all_customers
        from counted
        where {{ value }} is not null
        group by currency, {{ value }}
{%- endmacro %}

{% macro ends_of_fifths(first, value) -%}
        array[
            {%- for fifth in range(1, 5) %}
            {{ first }}({{ value }}) filter (where 5 * reached >= {{ fifth }} * all_customers){{ ',' if not loop.last }}
            {%- endfor %}
        ]
{%- endmacro %}

{% macro sales_band(net_sales) -%}
    {#- Five bands to a power of ten. Rises with net sales; all that is not above 0.01 lies in the lowest. -#}
    floor(5 * log(greatest({{ net_sales }}, 0.01)::double precision))::integer
{%- endmacro %}

{% macro rfm_segment(spends_most) -%}
    {#- By the scores of recency and frequency, and whether the one of monetary value is 4 or 5. -#}
        case
            when recency_score >= 4 and frequency_score >= 4 and {{ spends_most }} then 'champions'
            when recency_score >= 3 and frequency_score >= 4 then 'loyal'
            when recency_score >= 4 and frequency_score <= 2 then 'new or promising'
            when recency_score <= 2 and frequency_score >= 4 then 'at risk'
            when recency_score <= 2 and frequency_score <= 2 then 'lost'
            else 'needs attention'
        end
{%- endmacro %}
