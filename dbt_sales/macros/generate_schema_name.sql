{# A model's schema is exactly the one its folder names: staging, core, kpi or ops, without the target's as a prefix. Only
   the target `dev` has a prefix, so that a change can be tried beside what is published. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ 'dev_' if target.name == 'dev' }}{{ custom_schema_name or target.schema }}
{%- endmacro %}
