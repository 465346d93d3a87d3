{# Select statement of each date from the first to the last, as date_day. #}
{% macro days_between(first, last) -%}
    {{ return(adapter.dispatch('days_between')(first, last)) }}
{%- endmacro %}

{% macro default__days_between(first, last) -%}
    select date_day::date as date_day
    from ({{ dbt.date_spine('day', "'" ~ first ~ "'::date", dbt.dateadd('day', 1, "'" ~ last ~ "'::date")) }}) as spine
{%- endmacro %}

{% macro postgres__days_between(first, last) -%}
    select generate_series(
        '{{ first }}'::timestamp, '{{ last }}'::timestamp, interval '1 day'
    )::date as date_day
{%- endmacro %}
