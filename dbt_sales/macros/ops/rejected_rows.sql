{#- Rejected rows with the currency of what they may be worth, which they do not keep themselves. -#}
{% macro rejected_rows_in_their_currency() -%}
    select
        rejected.*,
        case
            when rejected.errors @> '[{"field": "currency"}]' then null
            when cardinality(feeds.currencies) = 1 then feeds.currencies[1]
            else (
                -- A cell of the row is the code of one of them, and no cell that of another.
                select min(stated.currency)
                from unnest(feeds.currencies) as stated (currency)
                where rejected.raw_text ~ concat('(^|[,;|\t"])\s*', stated.currency, '\s*($|[,;|\t"])')
                having count(*) = 1
            )
        end as currency
    from {{ ref('stg_raw_sales__rejected_rows') }} as rejected
    inner join {{ ref('stg_raw_sales__files') }} as files on rejected.file_id = files.file_id
    -- The currencies of all rows of a feed that were accepted.
    left join (
        select
            loaded.feed,
            array_agg(distinct accepted.currency) as currencies
        from {{ ref('stg_raw_sales__files') }} as loaded
        inner join {{ ref('stg_raw_sales__file_profiles') }} as profiles on loaded.file_id = profiles.file_id
        cross join lateral jsonb_object_keys(profiles.profile -> 'words' -> 'currency') as accepted (currency)
        group by loaded.feed
    ) as feeds on files.feed = feeds.feed
{%- endmacro %}
