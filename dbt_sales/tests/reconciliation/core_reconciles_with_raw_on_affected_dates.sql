{{ config(tags=['publish']) }}
{#- Nothing is published before every test has passed, so the marts do not wait for this one. #}
-- depends_on: {{ ref('kpi_daily_sales') }}

{{ core_raw_differences('affected') }}
