{# A run on Spark: the models on the lake, built whole. Nobody reads them while they are built, so nothing is claimed or published. #}
{% macro spark__begin_run() -%}
    {%- if not execute or flags.WHICH not in ['run', 'build'] -%}{{ return('') }}{%- endif -%}
    {%- set lake = 'delta.`' ~ var('lake') | replace('`', '``') ~ '`' -%}
    {#- One version of the table for all models: a job may commit meanwhile. -#}
    {%- set version = run_query('describe history ' ~ lake ~ ' limit 1').columns['version'][0] -%}
    {%- set files = api.Relation.create(schema='raw', identifier='files') -%}
    {%- set lines = api.Relation.create(schema='raw', identifier='sales_lines') -%}
    {%- do run_query('create schema if not exists ' ~ files.without_identifier()) -%}
    {%- do run_query('drop table if exists ' ~ files) -%}
    {#- Numbered as they were written, as PostgreSQL numbers them in the order in which they come. #}
    {%- call statement() %}
    create table {{ files }} as
    select
        row_number() over (order by written_at, bucket, key, file_id) as file_id,
        file_id as lake_file_id,
        bucket, key, etag || '-' || size_bytes as version, sha256, feed, 'lines' as kind, shares, timezone, times,
        status, 1 as attempts, 1 as events, rows_read, rows_loaded, rows_rejected, rows_skipped, error, warning,
        size_bytes, written_at as event_at, loaded_at as received_at, loaded_at,
        cast(null as timestamp) as modelled_at, superseded_by
    from {{ lake }} version as of {{ version }} as record
    where kind = 'file'
    {%- endcall %}
    {%- call statement() %}
    create or replace view {{ lines }} as
    select record.* except (record.file_id), files.file_id
    from {{ lake }} version as of {{ version }} as record
    inner join {{ files }} as files on record.file_id = files.lake_file_id
    where record.kind = 'line'
    {%- endcall %}
{%- endmacro %}

{% macro spark__end_run(results) -%}{%- endmacro %}
{% macro spark__forget_dropped_views() -%}{%- endmacro %}
{% macro spark__complete_created_table() -%}{%- endmacro %}
{% macro spark__built(relation) -%}{{ return(none) }}{%- endmacro %}
{% macro spark__apply_grants(relation, grant_config, should_revoke=true) -%}{%- endmacro %}

{# Contracts are written in PostgreSQL's types; the order of their columns holds here as well. #}
{% macro spark__get_assert_columns_equivalent(sql) -%}{%- endmacro %}
{% macro spark__persist_constraints(relation, model) -%}{%- endmacro %}

{% materialization incremental, adapter='spark' -%}
    {{ return(materialization_table_spark()) }}
{%- endmaterialization %}
