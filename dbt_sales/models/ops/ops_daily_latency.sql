with files as (
    select * from {{ ref('stg_raw_sales__files') }}
    where modelled_at is not null
),

-- percentile_disc gives a value that was measured, and keeps it a numeric.
final as (
    select
        modelled_at::date as modelled_date,
        count(*) as files,
        percentile_disc(0.5) within group (order by extract(epoch from modelled_at - event_at)) as latency_p50_seconds,
        percentile_disc(0.95) within group (order by extract(epoch from modelled_at - event_at)) as latency_p95_seconds,
        max(extract(epoch from modelled_at - event_at)) as latency_max_seconds
    from files
    group by modelled_at::date
)

select * from final
