with history_marts as (
    select * from {{ ref('stg_ops__history_marts') }}
),

runs as (
    select * from {{ ref('stg_raw_sales__dbt_runs') }}
),

facts as (
    select max(finished_at) as as_of
    from runs
    where is_live and mart_version is not null
),

final as (
    select
        split_part(history_marts.mart, '.', 2) as mart,
        history_marts.as_of,
        history_marts.as_of < facts.as_of as is_behind
    from history_marts
    cross join facts
)

select * from final
