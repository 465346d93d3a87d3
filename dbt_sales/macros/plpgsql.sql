{# dbt writes the body of every function as SQL, which cannot raise an error; ours are PL/pgSQL. #}
{% macro postgres__scalar_function_body_sql() -%}
    $$
{{ model.compiled_code }}
    $$ language plpgsql
{%- endmacro %}
