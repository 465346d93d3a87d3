with runs as (
    select * from {{ ref('stg_raw_sales__dbt_runs') }}
),

-- A week covers the nightly tests, and keeps the page fast when thousands of runs have been recorded.
recent_runs as (
    select * from runs
    where started_at > (select max(newest.started_at) from runs as newest) - interval '7 days'
),

results as (
    select
        recent_runs.run_id,
        coalesce(recent_runs.finished_at, recent_runs.started_at) as tested_at,
        result ->> 'node' as test_id,
        result ->> 'status' as status,
        (result ->> 'failures')::bigint as failures,
        -- PostgreSQL quotes the row after this word, and so perhaps a customer; `loader status` shows all of it.
        rtrim(split_part(result ->> 'message', 'DETAIL:', 1)) as message
    from recent_runs
    cross join lateral jsonb_array_elements(recent_runs.nodes) as result
    where starts_with(result ->> 'node', 'test.') or starts_with(result ->> 'node', 'unit_test.')
),

latest as (
    select distinct on (test_id) *
    from results
    order by test_id asc, run_id desc
),

final as (
    select
        test_id,
        -- test.<project>.<name>.<hash>, and unit_test.<project>.<model>.<name>
        case
            when starts_with(test_id, 'unit_test.') then split_part(test_id, '.', 4) else split_part(test_id, '.', 3)
        end as test_name,
        status,
        failures,
        message,
        run_id,
        tested_at
    from latest
)

select * from final
