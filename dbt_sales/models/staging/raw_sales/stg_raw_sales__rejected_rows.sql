with source as (
    select * from {{ source('raw_sales', 'rejected_rows') }}
),

files as (
    select * from {{ source('raw_sales', 'files') }}
),

-- The currencies of the rows of each feed that were accepted.
feeds as (
    select
        files.feed,
        array_agg(distinct accepted.currency) as currencies
    from files
    cross join lateral jsonb_object_keys(files.profile -> 'words' -> 'currency') as accepted (currency)
    group by files.feed
),

final as (
    select
        source.file_id,
        source.row_number,
        source.source_line,
        source.raw_text,
        source.errors,
        source.revenue_at_risk,
        case
            when source.errors @> '[{"field": "currency"}]' then null
            when cardinality(feeds.currencies) = 1 then feeds.currencies[1]
            else (
                -- A cell of the row is the code of one of them, and no cell that of another.
                select min(stated.currency)
                from unnest(feeds.currencies) as stated (currency)
                where source.raw_text ~ concat('(^|[,;|\t"])\s*', stated.currency, '\s*($|[,;|\t"])')
                having count(*) = 1
            )
        end as currency,
        source.rejected_at
    from source
    inner join files on source.file_id = files.file_id
    left join feeds on files.feed = feeds.feed
)

select * from final
