{{ config(materialized='view') }}

{{ dimension_by_index('store_id', ['sales_region']) }}
