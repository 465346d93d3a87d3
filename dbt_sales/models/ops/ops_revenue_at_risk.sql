with rejected_rows as (
    {{ rejected_rows_in_their_currency() }}
),

files as (
    select * from {{ ref('stg_raw_sales__files') }}
),

final as (
    select
        files.file_id,
        files.key,
        files.feed,
        files.status as file_status,
        rejected_rows.currency,
        count(*) as rejected_rows,
        count(rejected_rows.revenue_at_risk) as readable_rows,
        case
            when rejected_rows.currency is not null then coalesce(sum(rejected_rows.revenue_at_risk), 0)
        end as revenue_at_risk
    from rejected_rows
    inner join files on rejected_rows.file_id = files.file_id
    group by files.file_id, files.key, files.feed, files.status, rejected_rows.currency
)

select * from final
