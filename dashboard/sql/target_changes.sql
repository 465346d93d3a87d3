select
    month, place_type, place, target_net_sales, changed_by, changed_at,
    lag(target_net_sales) over (partition by month, place_type, place order by change_id) as previous_target
from dashboard.target_changes
where currency = :currency
order by change_id desc
limit :limit
