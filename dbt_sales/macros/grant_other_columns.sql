{# Grants for which dbt has no configuration: those of single columns. A post-hook, so that a view made anew has them too. #}
{% macro grant_other_columns(role, but) -%}
    {%- set columns = model.columns.values() | map(attribute='name') | reject('in', but) | join(', ') -%}
    grant select ({{ columns }}) on {{ this }} to {{ role }}
{%- endmacro %}
