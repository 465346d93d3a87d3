{# Dates that the queue says are not up to date: a reconciliation leaves them to a later run, in the same statement, so that
   a file that commits while dbt runs is no false alarm. #}
{% macro awaited_dates() -%}
    select sale_date
    from {{ api.Relation.create(schema='raw', identifier='rebuild_queue') }}
    {#- By name and not as a source, or the marts, which do not descend from the queue, would not wait for this test. -#}
    {#- What a run has claimed counts as awaited for everyone else, and for a run without the facts. #}
    where {{ 'run_id is null' if 'model.dbt_sales.fct_sales_lines' in selected_resources else 'true' }}
{%- endmacro %}
