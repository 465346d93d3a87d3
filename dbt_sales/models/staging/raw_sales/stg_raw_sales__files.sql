with source as (
    select * from {{ source('raw_sales', 'files') }}
),

final as (
    select
        file_id,
        bucket,
        key,
        version,
        sha256,
        feed,
        kind,
        {{ holds('shares', 'customers') }} as shares_customers,
        {{ holds('shares', 'products') }} as shares_products,
        {{ holds('shares', 'stores') }} as shares_stores,
        timezone,
        times,
        status,
        attempts,
        events,
        rows_read,
        rows_loaded,
        rows_rejected,
        rows_skipped,
        error,
        warning,
        size_bytes,
        event_at,
        received_at,
        loaded_at,
        modelled_at,
        superseded_by
    from source
)

select * from final
