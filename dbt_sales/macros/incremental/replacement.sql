{# An incremental model that exists: one statement for the database, instead of a temporary table, the catalog's columns,
   grants, comments and indexes on every run. Its columns are those of its contract. #}
{% materialization incremental, adapter='postgres' %}
    {%- set existing = load_cached_relation(this) -%}
    {%- if existing is none or existing.is_view or should_full_refresh() -%}
        {%- set built = dbt.materialization_incremental_default() -%}
        {#- In its place and for good, whatever becomes of the run: so as of the published facts, see `whole`. -#}
        {%- if publishes() and is_in_next(api.Relation.create(identifier='fct_sales_lines')) -%}
            {{ exceptions.raise_compiler_error(
                this ~ ' was missing, and has been built as of the published version. The run is to be repeated.'
            ) }}
        {%- endif -%}
        {{ return(built) }}
    {%- endif -%}
    {%- set columns = model.columns.values() | map(attribute='name') | join(', ') -%}
    {%- set scope = context['scope_of_' ~ config.require('incremental_strategy')]() -%}
    {%- if publishes() -%}
        {%- set next = next_of(this) -%}
        {%- set replacement -%}
            {{ scope.delete }};
            insert into {{ this }} ({{ columns }})
            select {{ columns }} from {{ next }}{{ ' where ' ~ scope.keep if scope.keep }}
        {%- endset -%}
        {#- In the order of a large index: what is entered one after the other is then entered side by side. -#}
        {%- set ordered = 'order by ' ~ scope.order if scope.order else '' -%}
        {%- call statement('main') -%}
            {% if scope.keep -%}
            create table {{ next }} as select * from ({{ sql }}) as new_rows {{ ordered }};
            {%- else -%}
            create table {{ next }} (like {{ this }} including constraints);

            insert into {{ next }} ({{ columns }})
            select {{ columns }} from ({{ sql }}) as new_rows {{ ordered }};
            {%- endif %}

            {# Of facts, which the other models of the run read, the planner has to know something. -#}
            {% if this.schema == 'core' -%}
            {% if config.get('next_index') %}create index on {{ next }} ({{ config.get('next_index') }});{% endif %}

            analyze {{ next }}{{ ' (' ~ config.get('next_statistics') | join(', ') ~ ')' if config.get('next_statistics') }};
            {%- endif %}

            insert into ops.replacements (relation, statement)
            values ('{{ this.identifier }}', $replacement${{ replacement }}$replacement$);
        {%- endcall -%}
    {%- else -%}
        {%- call statement('main') -%}
            {#- What is deleted and what is rebuilt cannot differ, even if the queue grows or shrinks meanwhile. -#}
            set transaction isolation level repeatable read;

            create temporary table new_{{ this.identifier }} on commit drop as {{ sql }};

            {{ scope.delete_in_shell or scope.delete }};

            insert into {{ this }} ({{ columns }})
            select {{ columns }} from new_{{ this.identifier }};
        {%- endcall -%}
    {%- endif -%}
    {%- do adapter.commit() -%}
    {{ return({'relations': [this]}) }}
{% endmaterialization %}

{% macro scope_of_replace_dates() -%}
    {{ return({
        'delete': 'delete from ' ~ this ~ ' where sale_date = any(' ~ affected_dates() ~ ')',
        'order': config.get('next_order'),
    }) }}
{%- endmacro %}

{% macro scope_of_replace_members() -%}
    {#- `offset 0` has the index asked for one member after the other; else all members are read to find a run's few. -#}
    {%- set matches = [] -%}
    {%- set keys = config.require('unique_key') -%}
    {%- set keys = [keys] if keys is string else keys -%}
    {%- for key in keys -%}
        {%- do matches.append('member.' ~ key ~ ' = new_member.' ~ key) -%}
    {%- endfor -%}
    {{ return({
        'delete': 'delete from ' ~ this ~ ' where ctid = any(array(select gone.ctid from ' ~ next_of(this)
            ~ ' as new_member cross join lateral (select ctid from ' ~ this ~ ' as member where '
            ~ matches | join(' and ') ~ ' offset 0) as gone))',
        'delete_in_shell': 'delete from ' ~ this,
        'keep': config.require('keep'),
        'order': keys | join(', '),
    }) }}
{%- endmacro %}

{# dbt asks whether a strategy exists before it runs a model. #}
{% macro get_incremental_replace_dates_sql(arg_dict) -%}
    {{ exceptions.raise_compiler_error('replace_dates is carried out by the materialization of this project') }}
{%- endmacro %}

{% macro get_incremental_replace_members_sql(arg_dict) -%}
    {{ exceptions.raise_compiler_error('replace_members is carried out by the materialization of this project') }}
{%- endmacro %}
