{% macro in_scope(relation, scope) -%}
    {#- What a reconciliation reads: of the affected dates what is about to be published, or everything that is. -#}
    {%- if scope == 'all' -%}
        (select * from {{ relation }})
    {%- elif publishes() and is_in_next(relation) -%}
        {{ next_of(relation) }}
    {%- else -%}
        {{ replaced(relation) }}
    {%- endif -%}
{%- endmacro %}

{% macro awaited_dates(scope) -%}
    select sale_date
    from {{ api.Relation.create(schema='raw', identifier='rebuild_queue') }}
    {#- By name and not as a source, or the marts, which do not descend from the queue, would not wait for this test. -#}
    {#- The running run is rebuilding the dates it claimed; what is claimed counts as awaited for everyone else. #}
    where {{ 'run_id is null' if scope == 'affected' else 'true' }}
{%- endmacro %}
