with source as (
    select * from {{ source('ops', 'history_marts') }}
),

final as (
    select
        mart,
        as_of
    from source
)

select * from final
