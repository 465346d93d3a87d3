{% macro affected_dates() -%}
    {%- if not execute -%}{{ return('array[]::date[]') }}{%- endif -%}
    {%- set queue = control_table('rebuild_queue') -%}
    {%- set runs = control_table('dbt_runs') -%}
    {#- A literal lets the planner use the index on the date; a subquery does not. -#}
    {%- set literal -%}
        with running as (
            select max(run_id) as run_id from {{ runs }} where status = 'running'
        )
        select 'array[' || coalesce(string_agg(distinct quote_literal(queue.sale_date), ', '), '') || ']::date[]'
        from {{ queue }} as queue
        cross join running
        where running.run_id is null or queue.run_id = running.run_id
    {%- endset -%}
    {{ return(run_query(literal).columns[0].values()[0]) }}
{%- endmacro %}

{% macro control_table(name) -%}
    {#- What steers a run, no data of it: as a source, it would draw a line from the queue to every model, and a test
        that reads it would no longer stand between core and kpi, as kpi does not descend from the queue. -#}
    {{ return(api.Relation.create(schema='raw', identifier=name)) }}
{%- endmacro %}

{% macro is_affected(column) -%}
    {%- if is_incremental() -%}
        {{ return(column ~ ' = any(' ~ affected_dates() ~ ')') }}
    {%- endif -%}
    {{ return('true') }}
{%- endmacro %}

{% macro compiled_dates() -%}
    {%- set literal = modules.re.search('array\[[^\]]*\]::date\[\]', sql) -%}
    {%- if not literal -%}
        {{ exceptions.raise_compiler_error(this ~ ' must filter by is_affected() to be replaced by date') }}
    {%- endif -%}
    {{ return(literal.group()) }}
{%- endmacro %}
