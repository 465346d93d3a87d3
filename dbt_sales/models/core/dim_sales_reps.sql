{{ config(materialized='view') }}

{{ dimension_from_lines('sales_representative', ['sales_region']) }}
