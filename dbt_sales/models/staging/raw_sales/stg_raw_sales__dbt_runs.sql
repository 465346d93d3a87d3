with source as (
    select * from {{ source('raw_sales', 'dbt_runs') }}
),

final as (
    select
        run_id,
        status,
        started_at,
        finished_at,
        dates,
        files,
        nodes,
        error,
        mart_version,
        is_live,
        is_history
    from source
)

select * from final
