{% macro in_scope(relation, scope) -%}
    {#- What a reconciliation reads: of the affected dates what is about to be published, or everything that is. -#}
    {%- if scope == 'all' -%}
        {{ relation }}
    {%- elif publishes() and is_in_next(relation) -%}
        {{ next_of(relation) }}
    {%- else -%}
        {{ replaced(relation) }}
    {%- endif -%}
{%- endmacro %}

{% macro awaited_dates(scope) -%}
    select sale_date
    from raw.rebuild_queue
    {#- The running run is rebuilding the dates it claimed; what is claimed counts as awaited for everyone else. #}
    where {{ 'run_id is null' if scope == 'affected' else 'true' }}
{%- endmacro %}
