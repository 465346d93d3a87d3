{% macro in_scope(relation, scope) -%}
    {#- What a reconciliation reads: of the affected dates what is about to be published, or everything that is. -#}
    {%- if scope == 'all' -%}
        (select * from {{ relation }})
    {%- elif built(relation) == 'part' -%}
        {{ next_of(relation) }}
    {%- else -%}
        (select * from {{ whole(relation) }} as row where sale_date = any({{ affected_dates() }}))
    {%- endif -%}
{%- endmacro %}

{% macro awaited_dates(scope) -%}
    select sale_date
    from {{ api.Relation.create(schema='raw', identifier='rebuild_queue') }}
    {#- By name and not as a source, or the marts, which do not descend from the queue, would not wait for this test. -#}
    {#- What a run has claimed counts as awaited for everyone else, and for a run without the facts. #}
    where {{ 'run_id is null' if scope == 'affected' and 'model.dbt_sales.fct_sales_lines' in selected_resources else 'true' }}
{%- endmacro %}
