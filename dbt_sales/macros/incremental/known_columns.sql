{# dbt asks the catalog for the columns of both tables, several times per model and run. The contract already fixes them:
   a table that lacks one makes the insert fail, and asks for a full refresh. -#}
{% macro process_schema_changes(on_schema_change, source_relation, target_relation) -%}
    {{ return(model.columns.values() | list) }}
{%- endmacro %}
