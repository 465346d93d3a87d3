{# on-run-end. Everything that the run has built is published in one transaction, if every node passed; else nothing is. #}
{% macro end_run(results) -%}
    {%- if not execute or flags.WHICH not in ['run', 'build'] -%}{{ return('') }}{%- endif -%}
    {%- set nodes = [] -%}
    {%- set problems = [] -%}
    {%- set passed = [] -%}
    {%- for each in results -%}
        {%- set status = each.status | string -%}
        {%- do nodes.append({
            'node': each.node.unique_id,
            'status': status,
            'seconds': each.execution_time | round(3),
            'failures': each.failures,
            'message': each.message,
        }) -%}
        {%- if status in ['error', 'fail', 'runtime error'] -%}
            {%- do problems.append(each.node.unique_id ~ ': ' ~ each.message) -%}
        {%- elif status == 'success' -%}
            {%- do passed.append(each.node.unique_id) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set left_out = [] -%}
    {%- for node in graph.nodes.values() if node.config.materialized == 'incremental'
        and 'history' not in node.tags and node.unique_id not in passed -%}
        {%- do left_out.append(node.unique_id) -%}
    {%- endfor -%}
    {%- set problem = "'" ~ (problems | join('; ') | replace("'", "''")) ~ "'" if problems else 'null' -%}
    {%- if target.name == 'prod' %}
    select ops.end_run(
        '{{ invocation_id }}',
        '{{ next_schema() }}',
        {{ problem }},
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
