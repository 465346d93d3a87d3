{{ config(grants={'select': ['dashboard_rejects', 'analyst']}) }}

with rejected_rows as (
    {{ rejected_rows_in_their_currency() }}
),

files as (
    select * from {{ ref('stg_raw_sales__files') }}
),

final as (
    select
        rejected_rows.file_id,
        files.key,
        files.feed,
        files.status as file_status,
        rejected_rows.row_number,
        rejected_rows.source_line,
        rejected_rows.raw_text,
        rejected_rows.errors,
        summary.reasons,
        rejected_rows.revenue_at_risk,
        rejected_rows.currency,
        rejected_rows.rejected_at
    from rejected_rows
    inner join files on rejected_rows.file_id = files.file_id
    cross join lateral (
        select string_agg(concat_ws(': ', error ->> 'field', error ->> 'message'), '; ' order by position) as reasons
        from jsonb_array_elements(rejected_rows.errors) with ordinality as listed (error, position)
    ) as summary
)

select * from final
