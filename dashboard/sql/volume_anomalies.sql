select sale_date, currency, lines, net_sales, lines_z_score, net_sales_z_score, events
from kpi.kpi_volume_anomalies
where is_anomaly
order by sale_date desc, currency
limit :limit
