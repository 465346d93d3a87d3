{# Writes the descriptions into PostgreSQL only where they changed: `comment on` is DDL, and costs more than a rebuild of
   one date. #}
{% macro postgres__persist_docs(relation, model, for_relation, for_columns) -%}
    {%- if config.persist_relation_docs() or config.persist_column_docs() -%} {#- dbt asks for functions too -#}
    {%- set current -%}
        select description
        from pg_catalog.pg_description
        where classoid = 'pg_class'::regclass and objoid = '{{ relation }}'::regclass
    {%- endset -%}
    {%- set wanted = [model.description] + model.columns.values() | map(attribute='description') | list -%}
    {%- set written = run_query(current).columns[0].values() | list -%}
    {%- if written | sort != wanted | select | sort -%}
        {{ default__persist_docs(relation, model, for_relation, for_columns) }}
    {%- endif -%}
    {%- endif -%}
{%- endmacro %}
