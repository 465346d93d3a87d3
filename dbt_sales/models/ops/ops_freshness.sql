with mart_version as (
    select * from {{ ref('stg_ops__mart_version') }}
),

files as (
    select * from {{ ref('stg_raw_sales__files') }}
),

queue as (
    select * from {{ ref('stg_raw_sales__rebuild_queue') }}
),

runs as (
    select * from {{ ref('stg_raw_sales__dbt_runs') }}
),

ledger as (
    select
        max(event_at) as last_event_at,
        max(loaded_at) as last_loaded_at,
        max(modelled_at) as last_modelled_at,
        count(*) filter (
            where status in ('discovered', 'loading') or (status = 'loaded' and modelled_at is null)
        ) as files_waiting
    from files
),

waiting_dates as (
    select count(distinct sale_date) as dates_waiting
    from queue
),

last_run as (
    select
        status as last_run_status,
        -- PostgreSQL quotes the row after this word, and so perhaps a customer; `loader status` shows all of it.
        rtrim(split_part(error, 'DETAIL:', 1)) as last_run_error
    from runs
    where status != 'running' and dates > 0 -- a run of no dates is one of tests, which publishes nothing
    order by run_id desc
    limit 1
),

latest_modelled as (
    select extract(epoch from modelled_at - event_at) as latency_seconds
    from files
    where modelled_at is not null
    order by modelled_at desc
    limit 100
),

latency as (
    select
        percentile_cont(0.5) within group (order by latency_seconds)::numeric as latency_p50_seconds,
        percentile_cont(0.95) within group (order by latency_seconds)::numeric as latency_p95_seconds
    from latest_modelled
),

final as (
    select
        mart_version.mart_version,
        mart_version.published_at,
        ledger.last_event_at,
        ledger.last_loaded_at,
        ledger.last_modelled_at,
        ledger.files_waiting,
        waiting_dates.dates_waiting,
        last_run.last_run_status,
        last_run.last_run_error,
        latency.latency_p50_seconds,
        latency.latency_p95_seconds
    from mart_version
    cross join ledger
    cross join waiting_dates
    cross join latency
    left join last_run on true
)

select * from final
