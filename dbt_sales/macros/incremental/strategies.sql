{% macro get_incremental_replace_dates_sql(arg_dict) -%}
    delete from {{ arg_dict.target_relation }}
    where sale_date = any({{ compiled_dates() }});

    {{ get_incremental_append_sql(arg_dict) }}
{%- endmacro %}

{% macro get_incremental_replace_members_sql(arg_dict) -%}
    {%- set dates = compiled_dates() -%}
    delete from {{ arg_dict.target_relation }} as member
    using {{ arg_dict.temp_relation }} as rebuilt
    where member.{{ arg_dict.unique_key }} = rebuilt.{{ arg_dict.unique_key }};

    {# What is left of these dates belongs to members that have no line any more. -#}
    delete from {{ arg_dict.target_relation }}
    where first_line_date = any({{ dates }}) or last_line_date = any({{ dates }});

    {{ get_incremental_append_sql(arg_dict) }}
{%- endmacro %}

{% macro get_incremental_replace_all_sql(arg_dict) -%}
    delete from {{ arg_dict.target_relation }};

    {{ get_incremental_append_sql(arg_dict) }}
{%- endmacro %}
