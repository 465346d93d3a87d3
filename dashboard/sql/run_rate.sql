-- The target of a month is that of all regions, or else of all stores, if each that sold something has one; where only
-- some have, target_of says what there are targets of and there is no sum of them.
with targets as (
    select
        month,
        place_type,
        case when bool_and(target_net_sales is not null or net_sales = 0) then sum(target_net_sales) end
            as target_net_sales
    from kpi.kpi_target_attainment
    where currency = :currency
    group by month, place_type
),

preferred as (
    select distinct on (month)
        month,
        place_type as target_of,
        target_net_sales
    from targets
    order by month, target_net_sales is null, place_type
)

select
    latest.month, net_sales, elapsed_until, share_elapsed, run_rate, run_rate_low, run_rate_high, previous_month_net_sales,
    target_of, target_net_sales
from (
    select *
    from kpi.kpi_monthly_run_rate
    where currency = :currency
    order by month desc
    limit 12
) as latest
left join preferred on preferred.month = latest.month
order by latest.month
