{% macro in_scope(scope) -%}
    {%- if scope == 'affected' -%}
        {{ return('sale_date = any(' ~ affected_dates() ~ ')') }}
    {%- endif -%}
    {{ return('true') }}
{%- endmacro %}

{% macro awaited_dates(scope) -%}
    select sale_date
    from {{ control_table('rebuild_queue') }}
    {#- The running run is rebuilding the dates it claimed; what is claimed counts as awaited for everyone else. #}
    where {{ 'run_id is null' if scope == 'affected' else 'true' }}
{%- endmacro %}
