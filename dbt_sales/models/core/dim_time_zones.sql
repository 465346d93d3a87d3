{{ config(materialized='view') }}

with files as (
    select * from {{ ref('stg_raw_sales__files') }}
),

final as (
    select distinct timezone
    from files
)

select * from final
