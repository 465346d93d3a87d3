with source as (
    select * from {{ source('ops', 'mart_version') }}
),

final as (
    select
        mart_version,
        published_at
    from source
)

select * from final
