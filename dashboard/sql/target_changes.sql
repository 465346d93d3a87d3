select
    month, place_type, place, target_net_sales, changed_by, changed_at,
    lag(target_net_sales) over same_target as previous_target,
    lag(change_id) over same_target is not null as has_previous
from dashboard.target_changes
where currency = :currency
window same_target as (partition by month, place_type, place order by change_id)
order by change_id desc
limit :limit
