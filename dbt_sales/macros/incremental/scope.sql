{# What a run rebuilds, and where it finds it. The worker of the loader (target `worker`) builds the new rows of facts and
   marts in the schema `next` and publishes all of them in one transaction; a dbt in a shell replaces table by table. #}
{% macro publishes() -%}
    {{ return(target.name == 'worker') }}
{%- endmacro %}

{% macro next_of(relation) -%}
    {{ return(api.Relation.create(schema='next', identifier=relation.identifier)) }}
{%- endmacro %}

{% macro affected_dates() -%}
    {#- A scalar subquery: asked once per statement, whatever the plan. -#}
    (select raw.affected_dates())::date[]
{%- endmacro %}

{% macro replaced(relation) -%}
    {#- The published rows that a run is about to replace. -#}
    (select * from {{ relation }} where sale_date = any({{ affected_dates() }}))
{%- endmacro %}

{% macro is_affected(column) -%}
    {{ return(column ~ ' = any(' ~ affected_dates() ~ ')' if is_incremental() else 'true') }}
{%- endmacro %}

{# The following take a fact or mart and give what stands behind `from`; it needs an alias. #}
{% macro affected(relation) -%}
    {#- The rows of a fact or mart that a model has to read: of the affected dates, or all where it is built from nothing. -#}
    {%- if is_incremental() and publishes() -%}
        {{ next_of(relation) }}
    {%- elif is_incremental() -%}
        {{ replaced(relation) }}
    {%- else -%}
        {{ whole(relation) }}
    {%- endif -%}
{%- endmacro %}

{% macro whole(relation) -%}
    {#- All rows as they will be once the run is published. A mart that a run finds missing is built as of what is
        published: it would keep what has arrived even if the run fails, and the next run add that again. -#}
    {%- if increments() or (publishes() and model.resource_type != 'model' and is_in_next(relation)) -%}
        (
            select * from {{ relation }} where sale_date != all({{ affected_dates() }})
            union all
            select * from {{ next_of(relation) }}
        )
    {%- else -%}
        {#- In parentheses: `--empty` and `--sample` put an alias of their own behind a bare relation. -#}
        (select * from {{ relation }})
    {%- endif -%}
{%- endmacro %}

{% macro is_in_next(relation) -%}
    {#- Not in the first run on a new database: where a table does not exist, it is created in its place. -#}
    {%- if not execute -%}{{ return(false) }}{%- endif -%}
    {%- set found -%}select to_regclass('{{ next_of(relation) }}') is not null{%- endset -%}
    {{ return(run_query(found).columns[0].values()[0]) }}
{%- endmacro %}

{% macro incoming(relation) -%}
    {#- What a model that is kept up by changes adds: the new rows of the affected dates, or all where it has to begin. -#}
    {{ next_of(relation) if increments() else whole(relation) }}
{%- endmacro %}

{% macro increments() -%}
    {#- Whether a model that depends on more than its dates may start from its published rows: those and the facts of the
        same version are both at hand only in a run that publishes. A shell builds such a model from nothing. -#}
    {{ return(is_incremental() and publishes()) }}
{%- endmacro %}
