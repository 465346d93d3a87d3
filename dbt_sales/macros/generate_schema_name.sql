{# A model's schema is exactly the one its folder names: staging, core, kpi or ops, without the target's as a prefix. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ custom_schema_name or target.schema }}
{%- endmacro %}
