{# What a run rebuilds, and where it finds it. Each run builds the new rows of facts and marts in a schema of its own, and
   publishes them at its end. #}
{% macro next_schema() -%}
    {{ 'dev_' if target.name == 'dev' }}next_{{ invocation_id | replace('-', '') }}
{%- endmacro %}

{% macro next_of(relation) -%}
    {{ return(api.Relation.create(database=relation.database, schema=next_schema(), identifier=relation.identifier, type='table')) }}
{%- endmacro %}

{% macro default__built(relation) -%}
    {#- What this run has built of a fact or mart: 'whole', a 'part', or none. A view is on what is published. -#}
    {%- if not execute or flags.WHICH not in ['run', 'build'] or config.get('materialized') == 'view' -%}
        {{ return(none) }}
    {%- endif -%}
    {%- if 'built' not in model -%}
        {%- set kinds = {} -%}
        {%- for row in run_query('select relation, is_whole from ' ~ next_schema() ~ ".built where statement != ''").rows -%}
            {%- do kinds.update({row[0]: 'whole' if row[1] else 'part'}) -%}
        {%- endfor -%}
        {%- do model.update({'built': kinds}) -%}
    {%- endif -%}
    {{ return(model.built.get(relation | string)) }}
{%- endmacro %}

{% macro affected_dates() -%}
    {#- A scalar subquery: asked once per statement, whatever the plan. -#}
    (select raw.affected_dates())::date[]
{%- endmacro %}

{% macro rebuilds_dates() -%}
    {#- Whether a run replaces dates of a model, and tests those. In dev nobody knows what has changed since the last run. -#}
    {%- set is_part = flags.WHICH in ['run', 'build'] if model.resource_type == 'test' else is_incremental() -%}
    {{ return(is_part and not flags.FULL_REFRESH and target.name == 'prod') }}
{%- endmacro %}

{% macro increments() -%}
    {#- Whether a model that depends on more than its dates may leave the rest of its rows: only where the rows before and
        after of everything that it is built from are at hand. -#}
    {%- if not rebuilds_dates() -%}{{ return(false) }}{%- endif -%}
    {%- for parent in model.depends_on.nodes if graph.nodes.get(parent, {}).get('config', {}).get('materialized') == 'incremental' -%}
        {%- set node = graph.nodes[parent] -%}
        {%- if built(api.Relation.create(database=node.database, schema=node.schema, identifier=node.name)) != 'part' -%}
            {{ return(false) }}
        {%- endif -%}
    {%- endfor -%}
    {{ return(true) }}
{%- endmacro %}

{# The following take a fact or mart and give what stands behind `from`; it needs an alias. #}
{% macro affected(relation) -%}
    {#- The rows that a model or test has to read: of the affected dates, or all where it is built from nothing. -#}
    {%- if not rebuilds_dates() -%}
        {{ whole(relation) }}
    {%- elif built(relation) == 'part' -%}
        {{ next_of(relation) }}
    {%- else -%}
        (select * from {{ whole(relation) }} as row where sale_date = any({{ affected_dates() }}))
    {%- endif -%}
{%- endmacro %}

{% macro whole(relation) -%}
    {#- All rows as they will be once the run is published. -#}
    {%- set part = built(relation) -%}
    {%- if part == 'part' -%}
        {%- set mart = graph.nodes['model.' ~ project_name ~ '.' ~ relation.identifier] -%}
        {%- set columns = mart.columns | join(', ') -%}
        (
            select {{ columns }} from {{ relation }} as published
            where {% if mart.config.keep -%}
                not exists (
                    select from {{ next_of(relation) }} as built
                    where (built.{{ mart.config.unique_key | join(', built.') }}) = (published.{{ mart.config.unique_key | join(', published.') }})
                )
            {%- else -%}
                sale_date != all({{ affected_dates() }})
            {%- endif %}
            union all
            select {{ columns }} from {{ next_of(relation) }} {{ 'where ' ~ mart.config.keep if mart.config.keep }}
        )
    {%- else -%}
        {#- In parentheses: `--empty` and `--sample` put an alias of their own behind a bare relation. -#}
        (select * from {{ next_of(relation) if part else relation }})
    {%- endif -%}
{%- endmacro %}

{% macro incoming(relation) -%}
    {#- The new rows of the affected dates, where a model leaves the rest of its rows; else all. -#}
    {{ next_of(relation) if increments() else whole(relation) }}
{%- endmacro %}

{% macro replaced(relation) -%}
    {#- The published rows that a run is about to replace. -#}
    (select * from {{ relation }} where sale_date = any({{ affected_dates() }}))
{%- endmacro %}
