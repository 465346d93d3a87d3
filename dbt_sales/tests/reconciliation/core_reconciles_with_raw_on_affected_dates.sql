{{ config(tags=['publish'], enabled=true) }}
{#- A shell's marts are built only on facts that passed. Of the worker's nothing is published before every test has
    passed: there the other models do not wait for this one. #}
{%- if publishes() %}
-- depends_on: {{ ref('kpi_daily_sales') }}
{%- endif %}

{{ core_raw_differences('affected') }}
