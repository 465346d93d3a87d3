{{ config(materialized='view') }}

{{ dimension_by_index('sales_representative', ['sales_region']) }}
