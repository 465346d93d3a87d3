{# on-run-start. A run of the production target claims what waits to be rebuilt, and refuses what would publish a part. #}
{% macro begin_run() -%}
    {%- if not execute -%}{{ return('') }}{%- endif -%}
    {{ refuse_unmigrated_database() }}
    {%- if flags.WHICH not in ['run', 'build'] -%}{{ return('') }}{%- endif -%}
    {%- if target.name == 'prod' -%}
        {{ refuse_a_part() }}
        {%- set command = (invocation_args_dict.invocation_command or 'dbt')[:200] -%}
        {%- set who = env_var('DBT_STARTED_BY', env_var('USER', 'somebody') ~ ', ' ~ command) %}
    select raw.begin_run(
        '{{ invocation_id }}', '{{ who | replace("'", "''") }}', {{ env_var('LEASE_SECONDS', '300') | float }}, {{ var('wait_for_other_run_seconds') }}
    );
    {{ drop_what_dead_runs_left() }}
    {%- endif %}
    create schema {{ next_schema() }};
    create table {{ next_schema() }}.built (
        relation text primary key,
        is_whole boolean not null,
        statement text not null
    );
    commit;
{%- endmacro %}

{% macro refuse_unmigrated_database() -%}
    {%- if not run_query("select to_regproc('raw.begin_run') is not null").columns[0].values()[0] -%}
        {{ exceptions.raise_compiler_error(
            'the database ' ~ target.dbname ~ ' has no tables to build from, or those of an earlier version: run '
            ~ '`loader migrate` with ADMIN_DATABASE_URL'
        ) }}
    {%- endif -%}
{%- endmacro %}

{% macro refuse_a_part() -%}
    {%- if flags.EMPTY or invocation_args_dict.sample -%}
        {{ exceptions.raise_compiler_error(
            '--empty and --sample would publish a part of the sales: use them with --target dev'
        ) }}
    {%- endif -%}
    {#- A fact without the marts on it would leave these behind it for good. -#}
    {%- for left_out in graph.nodes.values() if left_out.config.materialized == 'incremental'
        and left_out.unique_id not in selected_resources -%}
        {%- for parent in left_out.depends_on.nodes if parent in selected_resources
            and graph.nodes.get(parent, {}).get('config', {}).get('materialized') == 'incremental' -%}
            {%- set name = graph.nodes[parent].name -%}
            {{ exceptions.raise_compiler_error(
                name ~ ' cannot be published without ' ~ left_out.name ~ ', which is built from it: select ' ~ name ~ '+'
            ) }}
        {%- endfor -%}
    {%- endfor -%}
{%- endmacro %}

{% macro drop_what_dead_runs_left() %}
    select ops.discard(nspname) from pg_namespace where nspname ~ '^next_' and nspowner = current_user::regrole;
{%- endmacro %}
