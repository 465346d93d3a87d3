{% macro affected_dates() -%}
    {%- if not execute -%}{{ return('array[]::date[]') }}{%- endif -%}
    {#- Control tables, not data: naming them as sources would draw a line from the queue to every model. -#}
    {%- set queue = api.Relation.create(schema='raw', identifier='rebuild_queue') -%}
    {%- set runs = api.Relation.create(schema='raw', identifier='dbt_runs') -%}
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
