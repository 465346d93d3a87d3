select month, place_type, place, target_net_sales, changed_by, changed_at
from kpi.kpi_sales_targets
where currency = :currency
order by month, place_type, place
