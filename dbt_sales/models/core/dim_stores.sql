{{ config(materialized='view') }}

{{ dimension_from_lines('store_id', ['sales_region']) }}
