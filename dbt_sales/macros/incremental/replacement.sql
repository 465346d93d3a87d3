{# Strategy `replace`: what a run has built waits in a schema of the run, with the statement that publishes it, for the end
   of the run. It takes the place of the whole table, as a mart of the whole history always does; of the affected periods
   and of others of which rows were built (`period`: the column that tells them, sale_date or month); or, where `keep` is
   set, of the rows of each `unique_key` that was built: a row for which `keep` does not hold says of a member that nothing
   is left of it. `reaches_further` says that a change of facts may change other dates of the mart too. #}
{% macro get_incremental_replace_sql(arg_dict) -%}
    {%- set next = next_of(this) -%}
    {%- set keep = config.get('keep') -%}
    {%- set period = config.get('period', 'sale_date') -%}
    {%- set is_history = 'history' in model.tags -%}
    {%- set is_whole = is_history or not (increments() if keep or config.get('reaches_further') else rebuilds_dates()) -%}
    {%- set columns = model.columns.values() | map(attribute='name') | join(', ') -%}
    {%- set insert -%}
        insert into {{ this }} ({{ columns }}) select {{ columns }} from {{ next }}
    {%- endset -%}
    {%- set statement -%}
        {%- if is_whole -%}
            select ops.exchange('{{ this }}', '{{ next }}')
        {%- elif keep -%}
            {%- set keys = config.require('unique_key') | join(', ') %}
            delete from {{ this }} where ({{ keys }}) in (select {{ keys }} from {{ next }}); {{ insert }} where {{ keep }}
        {%- else -%}
            {%- set affected = "date_trunc('month', affected)::date" if period == 'month' else 'affected' %}
            delete from {{ this }} where {{ period }} = any(array(
                select {{ affected }} from unnest({{ affected_dates() }}) as affected
                union select {{ period }} from {{ next }}
            )); {{ insert }}
            {{- ' order by ' ~ config.get('next_order') if config.get('next_order') }}
        {%- endif -%}
    {%- endset %}
    {% if is_whole -%}
    {{ get_create_table_as_sql(false, next, with_served(arg_dict.temp_relation)) }}
    {%- for index in config.get('indexes', []) %}
    {{ get_create_index_sql(next, index) }};
    {%- endfor %}
    {{ complete_table(next) }};
    {%- elif keep -%}
    create table {{ next }} as select * from {{ arg_dict.temp_relation }};
    {%- else -%}
    {#- Its columns have been held to the contract already; to ask for them again takes dbt as long as to build them. #}
    create table {{ next }} (like {{ this }} including constraints);
    insert into {{ next }} ({{ columns }}) select {{ columns }} from {{ arg_dict.temp_relation }};
    {%- if config.get('next_index') %}
    create index on {{ next }} ({{ config.get('next_index') }});
    {%- endif %}
    {%- endif %}
    analyze {{ next }};
    {% if target.name == 'prod' -%}
    insert into {{ next_schema() }}.built values (
        '{{ this }}', {{ is_whole }}, {{ is_history }}, $statement${{ statement }}$statement$
    );
    {%- else -%}
    {#- At once, for the tests of this run to see it; one model at a time, as each locks views of others' tables too. #}
    select pg_advisory_xact_lock(hashtextextended('{{ this.schema }}', 0));
    {{ statement }};
    {%- endif %}
{%- endmacro %}

{# Post-hook of every model. A table that was not there is created in its place: should the run fail, it is dropped again. #}
{% macro default__complete_created_table() -%}
    {%- if execute and config.get('materialized') == 'incremental' and not is_incremental() -%}
    {{ complete_table(this.incorporate(type='table')) }}; {{ insert_served() }}
    analyze {{ this }};
    insert into {{ next_schema() }}.built values ('{{ this }}', true, {{ 'history' in model.tags }}, '')
    {%- endif -%}
{%- endmacro %}

{% macro complete_table(relation) -%}
    {#- Of a new table: indexes that dbt has no configuration for, and the descriptions, which `persist_docs` would write on
        every arrival, under a lock. -#}
    {%- for name, definition in config.get('meta', {}).get('more_indexes', {}).items() %}
    create index {{ name }} on {{ relation }} {{ definition }};
    {%- endfor %}
    {{ alter_relation_comment(relation, model.description) }};
    {#- dbt's own macro asks the database which columns there are: none, of a table that this statement makes. #}
    {%- for column in model.columns.values() if column.description %}
    comment on column {{ relation }}.{{ column.name }} is {{ postgres_escape_comment(column.description) }};
    {%- endfor %}
{%- endmacro %}
