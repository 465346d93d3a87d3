select segment, as_of_date, customers, orders, net_sales
from kpi.kpi_rfm_segments
where currency = :currency
order by net_sales desc, segment
