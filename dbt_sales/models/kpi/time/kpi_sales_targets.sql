{{ config(materialized='view') }}

with targets as (
    select * from {{ ref('fct_sales_targets') }}
),

final as (
    select
        month,
        place_type,
        place,
        currency,
        target_net_sales,
        changed_by,
        changed_at
    from targets
)

select * from final
