{# What a run rebuilds, and where it finds it. Each run builds the new rows of facts and marts in a schema of its own, and
   publishes them at its end. #}
{% macro next_schema() -%}
    {{ 'dev_' if target.name == 'dev' }}next_{{ invocation_id | replace('-', '') }}
{%- endmacro %}

{% macro next_of(relation) -%}
    {{ return(api.Relation.create(database=relation.database, schema=next_schema(), identifier=relation.identifier, type='table')) }}
{%- endmacro %}

{% macro built(relation) -%}
    {#- What this run has built of a fact or mart: 'whole', a 'part', or none. Asked for once per node. -#}
    {%- if not execute or flags.WHICH not in ['run', 'build'] -%}{{ return(none) }}{%- endif -%}
    {%- if 'built' not in model -%}
        {%- set kinds = {} -%}
        {%- for row in run_query('select relation, is_whole from ' ~ next_schema() ~ ".built where statement != ''").rows -%}
            {%- do kinds.update({row[0]: 'whole' if row[1] else 'part'}) -%}
        {%- endfor -%}
        {%- do model.update({'built': kinds}) -%}
    {%- endif -%}
    {{ return(model.built.get(relation | string)) }}
{%- endmacro %}

{% macro by_members(relation) -%}
    {#- The node of a mart of which a run replaces single members; else none. -#}
    {%- set node = graph.nodes.get('model.' ~ project_name ~ '.' ~ relation.identifier, {}) -%}
    {{ return(node if node.get('config', {}).get('keep') else none) }}
{%- endmacro %}

{% macro same_member(one, other, keys) -%}
    {%- for key in ([keys] if keys is string else keys) -%}
        {{ ' and ' if not loop.first }}{{ one }}.{{ key }} = {{ other }}.{{ key }}
    {%- endfor -%}
{%- endmacro %}

{% macro affected_dates() -%}
    {#- A scalar subquery: asked once per statement, whatever the plan. -#}
    (select raw.affected_dates())::date[]
{%- endmacro %}

{% macro affected_periods(period) -%}
    {#- The affected dates, or the months in which they lie. -#}
    select {{ 'affected' if period == 'sale_date' else "date_trunc('month', affected)::date" }} as {{ period }}
    from unnest({{ affected_dates() }}) as affected
{%- endmacro %}

{% macro rebuilds_dates() -%}
    {#- Whether a run replaces dates of a model. Of the target dev nobody knows what has changed since its last run. -#}
    {{ return(is_incremental() and not flags.FULL_REFRESH and target.name == 'prod') }}
{%- endmacro %}

{% macro increments() -%}
    {#- Whether a model that depends on more than its dates may start from its published rows: only where the rows before
        and after of everything that it is built from are at hand. -#}
    {%- if not rebuilds_dates() -%}{{ return(false) }}{%- endif -%}
    {%- set missing = [] -%}
    {%- for parent in model.depends_on.nodes if graph.nodes.get(parent, {}).get('config', {}).get('materialized') == 'incremental' -%}
        {%- if built(api.Relation.create(
            database=graph.nodes[parent].database, schema=graph.nodes[parent].schema, identifier=graph.nodes[parent].name
        )) != 'part' -%}
            {%- do missing.append(parent) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(not missing) }}
{%- endmacro %}

{% macro replaced(relation) -%}
    {#- The published rows that a run is about to replace. -#}
    (select * from {{ relation }} where sale_date = any({{ affected_dates() }}))
{%- endmacro %}

{% macro is_affected(column) -%}
    {{ return(column ~ ' = any(' ~ affected_dates() ~ ')' if rebuilds_dates() else 'true') }}
{%- endmacro %}

{# The following take a fact or mart and give what stands behind `from`; it needs an alias. #}
{% macro affected(relation) -%}
    {#- The rows of a fact or mart that a model has to read: of the affected dates, or all where it is built from nothing. -#}
    {%- if not rebuilds_dates() -%}
        {{ whole(relation) }}
    {%- elif built(relation) == 'part' -%}
        {{ next_of(relation) }}
    {%- else -%}
        (select * from {{ whole(relation) }} as row where {{ is_affected('sale_date') }})
    {%- endif -%}
{%- endmacro %}

{% macro whole(relation) -%}
    {#- All rows as they will be once the run is published. -#}
    {%- set part = built(relation) -%}
    {%- if part == 'part' and by_members(relation) -%}
        {%- set mart = by_members(relation) -%}
        {%- set columns = mart.columns.keys() | join(', ') -%}
        (
            select {{ columns }} from {{ relation }} as row
            where not exists (
                select from {{ next_of(relation) }} as built where {{ same_member('built', 'row', mart.config.unique_key) }}
            )
            union all
            select {{ columns }} from {{ next_of(relation) }} where {{ mart.config.keep }}
        )
    {%- elif part == 'part' -%}
        (
            select * from {{ relation }} where sale_date != all({{ affected_dates() }})
            union all
            select * from {{ next_of(relation) }}
        )
    {%- else -%}
        {#- In parentheses: `--empty` and `--sample` put an alias of their own behind a bare relation. -#}
        (select * from {{ next_of(relation) if part else relation }})
    {%- endif -%}
{%- endmacro %}

{% macro affected_months(relation) -%}
    {#- All rows of the months in which affected dates lie, as they will be once the run is published; or all rows, where a
        mart is built from nothing. By an array of dates, along the index; rows that the run replaces are not read. -#}
    {%- if not rebuilds_dates() -%}
        {{ whole(relation) }}
    {%- else -%}
        {%- set is_part = built(relation) == 'part' -%}
        (
            select *
            from {{ relation if is_part else whole(relation) }} as row
            where sale_date = any(array(
                select day::date
                from ({{ affected_periods('month') }}) as affected
                cross join generate_series(month, month + interval '1 month -1 day', interval '1 day') as day
                {%- if is_part %}
                except
                {{ affected_periods('sale_date') }}
                {%- endif %}
            ))
            {%- if is_part %}
            union all
            select * from {{ next_of(relation) }}
            {%- endif %}
        )
    {%- endif -%}
{%- endmacro %}

{% macro incoming(relation) -%}
    {#- The new rows of the affected dates, where a model starts from what is published; else all. -#}
    {{ next_of(relation) if increments() else whole(relation) }}
{%- endmacro %}
