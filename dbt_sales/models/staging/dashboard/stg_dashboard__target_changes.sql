{{ config(materialized='ephemeral') }}

with source as (
    select * from {{ source('dashboard', 'target_changes') }}
),

final as (
    select
        change_id,
        month,
        place_type,
        place,
        currency,
        target_net_sales,
        changed_by,
        changed_at
    from source
)

select * from final
