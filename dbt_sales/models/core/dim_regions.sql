{{ config(materialized='view') }}

{{ dimension_by_index('sales_region', []) }}
