{{ config(grants={'select': ['dashboard_rejects', 'analyst']}) }}

with rejected_rows as (
    select * from {{ ref('stg_raw_sales__rejected_rows') }}
),

files as (
    select * from {{ ref('stg_raw_sales__files') }}
),

profiles as (
    select * from {{ ref('stg_raw_sales__file_profiles') }}
),

-- Those of all rows of a feed that were accepted.
currencies_of_feeds as (
    select
        files.feed,
        array_agg(distinct accepted.currency) as currencies
    from files
    inner join profiles on files.file_id = profiles.file_id
    cross join lateral jsonb_object_keys(profiles.profile -> 'words' -> 'currency') as accepted (currency)
    group by files.feed
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
        (
            select string_agg(concat_ws(': ', error ->> 'field', error ->> 'message'), '; ' order by position)
            from jsonb_array_elements(rejected_rows.errors) with ordinality as listed (error, position)
        ) as reasons,
        rejected_rows.revenue_at_risk,
        case
            when rejected_rows.errors @> '[{"field": "currency"}]' then null
            when cardinality(feeds.currencies) = 1 then feeds.currencies[1]
            else (
                -- A cell of the row is the code of one of them, and no cell that of another.
                select min(stated.currency)
                from unnest(feeds.currencies) as stated (currency)
                where rejected_rows.raw_text ~ concat('(^|[,;|\t"])\s*', stated.currency, '\s*($|[,;|\t"])')
                having count(*) = 1
            )
        end as currency,
        rejected_rows.rejected_at
    from rejected_rows
    inner join files on rejected_rows.file_id = files.file_id
    left join currencies_of_feeds as feeds on files.feed = feeds.feed
)

select * from final
