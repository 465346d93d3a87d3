with source as (
    select * from {{ source('raw_sales', 'waiting_items') }}
),

final as (
    select
        file_id,
        source.rows as rows_waiting,
        source.since as waiting_since
    from source
)

select * from final
