{% macro get_incremental_replace_dates_sql(arg_dict) -%}
    {%- set target = arg_dict.target_relation -%}
    {%- if target.schema == 'kpi' and a_run_will_publish() -%}
        {%- set next = next_of(target.identifier) -%}
    drop table if exists {{ next }};

    create table {{ next }} (like {{ target }});

        {% do arg_dict.update({'target_relation': next}) -%}
    {%- else -%}
    delete from {{ target }}
    where sale_date = any({{ compiled_dates() }});

    {% endif -%}
    {{ get_incremental_append_sql(arg_dict) }}
{%- endmacro %}

{% macro a_run_will_publish() -%}
    {#- The worker of the loader publishes all marts at once when every node has passed; a dbt in a shell does not. -#}
    {%- set running -%}select exists (select from {{ control_table('dbt_runs') }} where status = 'running'){%- endset -%}
    {{ return(run_query(running).columns[0].values()[0]) }}
{%- endmacro %}

{% macro next_of(mart) -%}
    {{ return(api.Relation.create(schema='kpi_next', identifier=mart)) }}
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

