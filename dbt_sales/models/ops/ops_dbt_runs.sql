with runs as (
    select * from {{ ref('stg_raw_sales__dbt_runs') }}
),

final as (
    select
        run_id,
        status,
        started_at,
        finished_at,
        extract(epoch from finished_at - started_at) as seconds,
        dates,
        files,
        -- PostgreSQL quotes the row after this word, and so perhaps a customer; `loader status` shows all of it.
        rtrim(split_part(error, 'DETAIL:', 1)) as error,
        mart_version
    from runs
)

select * from final
