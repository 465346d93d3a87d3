{{ config(materialized='view') }}

-- The finest grain, nearly a row a line: summed when it is asked for, of the few dates that anybody asks it for.
{{ daily_place_sums(['product_id', 'product_category']) }}
