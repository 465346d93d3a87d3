with source as (
    select * from {{ source('raw_sales', 'files') }}
),

final as (
    select
        file_id,
        to_jsonb(header) as header,
        profile
    from source
)

select * from final
