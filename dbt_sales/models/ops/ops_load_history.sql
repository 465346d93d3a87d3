with files as (
    select * from {{ ref('stg_raw_sales__files') }}
),

waiting as (
    select * from {{ ref('stg_raw_sales__waiting_items') }}
),

final as (
    select
        files.file_id,
        bucket,
        key,
        version,
        sha256,
        feed,
        status,
        attempts,
        events,
        rows_read,
        rows_loaded,
        rows_rejected,
        rows_skipped,
        coalesce(waiting.rows_waiting, 0) as rows_waiting,
        error,
        warning,
        size_bytes,
        event_at,
        received_at,
        loaded_at,
        modelled_at,
        extract(epoch from loaded_at - event_at) as arrival_to_loaded_seconds,
        extract(epoch from modelled_at - event_at) as arrival_to_mart_seconds
    from files
    left join waiting on files.file_id = waiting.file_id
)

select * from final
