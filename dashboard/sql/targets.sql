select month, place_type, place, net_sales, target_net_sales, target_to_date, gap, attainment_rate
from kpi.kpi_target_attainment
where currency = :currency
order by month desc, place_type, target_to_date desc nulls last, net_sales desc
