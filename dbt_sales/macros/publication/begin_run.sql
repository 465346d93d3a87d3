{# on-run-start. A run of the production target claims what waits to be rebuilt, and refuses what would publish a part. #}
{% macro default__begin_run() -%}
    {%- if not execute -%}{{ return('') }}{%- endif -%}
    {{ refuse_unmigrated_database() }}
    {%- if flags.WHICH not in ['run', 'build'] -%}{{ return('') }}{%- endif -%}
    {%- if target.name == 'prod' -%}
        {{ refuse_a_part() }}
        {%- set command = (invocation_args_dict.invocation_command or 'dbt')[:200] -%}
        {%- set who = env_var('DBT_STARTED_BY', env_var('USER', 'somebody') ~ ', ' ~ command) %}
        {%- set kinds = kinds_of_run() %}
    select raw.begin_run(
        '{{ invocation_id }}',
        '{{ who | replace("'", "''") }}',
        {{ env_var('LEASE_SECONDS', '300') | float }},
        {{ var('wait_for_other_run_seconds') }},
        {{ kinds.live }},
        {{ kinds.history }}
    );
    select ops.discard_dead_runs();
    {%- endif %}
    create schema {{ next_schema() }};
    create table {{ next_schema() }}.built (
        relation text primary key,
        is_whole boolean not null,
        is_history boolean not null,
        statement text not null
    );
    commit;
{%- endmacro %}

{# on-run-start, after that. dbt has listed the views before this run waited for another one, which may have failed in the
   midst of its own: one that dbt takes for there while it is not cannot be built anew. #}
{% macro default__forget_dropped_views() -%}
    {%- if not execute -%}{{ return('') }}{%- endif -%}
    {%- set there = run_query("select schemaname || '.' || viewname from pg_views").columns[0].values() -%}
    {%- for node in graph.nodes.values() if node.config.materialized == 'view' -%}
        {%- set listed = load_cached_relation(api.Relation.create(node.database, node.schema, node.name)) -%}
        {%- if listed and node.schema ~ '.' ~ node.name not in there %}{% do adapter.cache_dropped(listed) %}{% endif -%}
    {%- endfor -%}
{%- endmacro %}

{% macro refuse_unmigrated_database() -%}
    {#- A column of the last revision that models need, and a role that reads them. -#}
    {%- set needed = "select 1 from pg_attribute where attrelid = to_regclass('ops.seam') and attname = 'live_since'"
        ~ " and to_regclass('raw.files') is not null and exists (select from pg_roles where rolname = 'analyst')" -%}
    {%- if not run_query(needed).rows -%}
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
    {#- A fact without the marts on it would leave these behind it for good; those of the whole history say as of when they
        are, unless one is built from another, of whose facts it would say that it is. -#}
    {%- for child in graph.nodes.values() if child.config.materialized == 'incremental' -%}
        {%- for id in child.depends_on.nodes if graph.nodes.get(id, {}).get('config', {}).get('materialized') == 'incremental' -%}
            {%- set parent = graph.nodes[id] -%}
            {%- set published, left_out = (child, parent) if 'history' in child.tags else (parent, child) -%}
            {%- if published.unique_id in selected_resources and left_out.unique_id not in selected_resources
                and ('history' in published.tags) == ('history' in left_out.tags) -%}
                {{ exceptions.raise_compiler_error(
                    published.name ~ ' cannot be published without ' ~ left_out.name ~ ', as '
                    ~ child.name ~ ' is built from ' ~ parent.name ~ ': select ' ~ parent.name ~ '+'
                ) }}
            {%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
{%- endmacro %}

{% macro kinds_of_run() -%}
    {#- A run claims what its models need: the dates that wait, the marts of the whole history, or both. A full refresh
        claims both, as no other run may read a table that it exchanges. -#}
    {%- set kinds = {'live': flags.FULL_REFRESH, 'history': flags.FULL_REFRESH} -%}
    {%- for node in graph.nodes.values() if node.resource_type in ['model', 'seed', 'snapshot']
        and node.unique_id in selected_resources -%}
        {%- do kinds.update({'history' if 'history' in node.tags else 'live': true}) -%}
    {%- endfor -%}
    {{ return(kinds if kinds.history else {'live': true, 'history': false}) }}
{%- endmacro %}
