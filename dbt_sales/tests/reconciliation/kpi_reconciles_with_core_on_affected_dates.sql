{{ config(tags=['publish']) }}

{{ kpi_core_differences('affected') }}
