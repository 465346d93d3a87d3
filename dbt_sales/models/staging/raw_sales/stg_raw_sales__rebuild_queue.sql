with source as (
    select * from {{ source('raw_sales', 'rebuild_queue') }}
),

final as (
    select
        queue_id,
        sale_date,
        file_id,
        enqueued_at,
        run_id
    from source
)

select * from final
