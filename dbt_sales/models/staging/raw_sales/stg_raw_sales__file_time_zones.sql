{{ config(materialized='ephemeral') }}

with source as (
    select * from {{ source('raw_sales', 'files') }}
),

final as (
    select
        file_id,
        timezone
    from source
)

select * from final
