{{ config(materialized='ephemeral') }}

-- In the views that read it, so that a change on the page counts at once. No view itself: whenever dbt builds one anew,
-- it drops what reads it, also in a run that then fails before it comes to that.
-- The seed is the start: it counts where nobody changed anything.
with seed as (
    select * from {{ ref('sales_targets') }}
),

changes as (
    select * from {{ ref('stg_dashboard__target_changes') }}
),

latest as (
    select
        month,
        place_type,
        place,
        currency,
        max(change_id) as change_id
    from changes
    group by month, place_type, place, currency
),

final as (
    select
        changes.month,
        changes.place_type,
        changes.place,
        changes.currency,
        changes.target_net_sales,
        changes.changed_by,
        changes.changed_at
    from changes
    inner join latest on changes.change_id = latest.change_id
    where changes.target_net_sales is not null
    union all
    select
        seed.month,
        seed.place_type,
        seed.place,
        seed.currency,
        seed.target_net_sales,
        null::text as changed_by,
        null::timestamptz as changed_at
    from seed
    left join latest
        on
            seed.month = latest.month
            and seed.place_type = latest.place_type
            and seed.place = latest.place
            and seed.currency = latest.currency
    where latest.change_id is null
)

select * from final
