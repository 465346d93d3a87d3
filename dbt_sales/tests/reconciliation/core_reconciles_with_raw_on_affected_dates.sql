{{ config(tags=['publish']) }}

{{ core_raw_differences('affected') }}
