{# on-run-end. Everything that the run has built is published in one transaction, if every node passed; else nothing is. #}
{% macro default__end_run(results) -%}
    {%- if not execute or flags.WHICH not in ['run', 'build'] -%}{{ return('') }}{%- endif -%}
    {%- set nodes = [] -%}
    {%- set problems = [] -%}
    {%- for each in results -%}
        {%- do nodes.append({
            'node': each.node.unique_id,
            'status': each.status | string,
            'seconds': each.execution_time | round(3),
            'failures': each.failures,
            'message': each.message,
        }) -%}
        {%- if nodes[-1].status in ['error', 'fail', 'runtime error'] -%}
            {%- do problems.append(each.node.unique_id ~ ': ' ~ each.message) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set passed = nodes | selectattr('status', 'equalto', 'success') | map(attribute='node') | list -%}
    {%- set left_out = [] -%}
    {%- for node in graph.nodes.values() if node.config.materialized == 'incremental'
        and 'history' not in node.tags and node.unique_id not in passed -%}
        {%- do left_out.append(node.unique_id) -%}
    {%- endfor -%}
    {%- if target.name == 'prod' %}
    select ops.end_run(
        '{{ invocation_id }}',
        '{{ next_schema() }}',
        {{ dbt.string_literal(problems | join('; ') | replace("'", "''")) if problems else 'null' }},
        '{{ tojson(nodes) | replace("'", "''") }}',
        {{ not left_out }}
    );
    commit;
    {%- if not problems %}
    select ops.refuse_if_unpublished('{{ invocation_id }}');
    {%- endif %}
    {%- else %}
    drop schema {{ next_schema() }} cascade;
    commit;
    {%- endif %}
{%- endmacro %}
