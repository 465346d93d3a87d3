with source as (
    select * from {{ source('raw_sales', 'transform_lease') }}
),

final as (
    select
        holder,
        host,
        taken_at,
        seen_at,
        expires_at
    from source
)

select * from final
