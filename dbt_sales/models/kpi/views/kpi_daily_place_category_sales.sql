{{ config(materialized='view') }}

-- Summed when it is asked for: of a category in one place, which is seldom looked at over many dates.
{{ daily_place_sums(['product_category']) }}
