with rejected_rows as (
    select * from {{ ref('ops_rejected_rows') }}
),

final as (
    select
        file_id,
        key,
        feed,
        file_status,
        currency,
        count(*) as rejected_rows,
        count(revenue_at_risk) as readable_rows,
        case when currency is not null then coalesce(sum(revenue_at_risk), 0) end as revenue_at_risk
    from rejected_rows
    group by file_id, key, feed, file_status, currency
)

select * from final
