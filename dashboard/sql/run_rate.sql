-- What has a target is compared with it, whatever else sold something: where regions and stores have targets, by those
-- whose targets make up more.
with planned as (
    select
        month,
        place_type as target_of,
        sum(target_net_sales) as target_net_sales,
        sum(net_sales) filter (where target_net_sales is not null) as planned_net_sales,
        count(target_net_sales) as planned_places,
        count(*) filter (where target_net_sales is not null or net_sales <> 0) as places
    from kpi.kpi_target_attainment
    where currency = :currency
    group by month, place_type
),

preferred as (
    select distinct on (month) *
    from planned
    order by month, target_net_sales desc, target_of
)

select
    latest.month, net_sales, elapsed_until, share_elapsed, run_rate, run_rate_low, run_rate_high,
    previous_month_net_sales, target_of, target_net_sales,
    round(planned_net_sales / nullif(share_elapsed, 0), 2) as planned_run_rate, planned_places, places
from (
    select *
    from kpi.kpi_monthly_run_rate
    where currency = :currency
    order by month desc
    limit 12
) as latest
left join preferred on preferred.month = latest.month
order by latest.month
