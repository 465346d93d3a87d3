{{ config(tags=['publish'], enabled=true) }}

{{ kpi_core_differences('affected') }}
