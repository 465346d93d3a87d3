{% macro in_scope(scope) -%}
    {%- if scope == 'affected' -%}
        {{ return('sale_date = any(' ~ affected_dates() ~ ')') }}
    {%- endif -%}
    {{ return('true') }}
{%- endmacro %}

{% macro candidate(mart, scope) -%}
    {#- What a run is about to publish of this mart; the mart itself where it has just been created, or in a shell. -#}
    {%- if execute and scope == 'affected' and a_run_will_publish() -%}
        {%- set next = next_of(mart.identifier) -%}
        {{ return(adapter.get_relation(mart.database, next.schema, next.identifier) or mart) }}
    {%- endif -%}
    {{ return(mart) }}
{%- endmacro %}

{% macro awaited_dates(scope) -%}
    select sale_date
    from {{ control_table('rebuild_queue') }}
    {#- The running run is rebuilding the dates it claimed; what is claimed counts as awaited for everyone else. #}
    where {{ 'run_id is null' if scope == 'affected' else 'true' }}
{%- endmacro %}
