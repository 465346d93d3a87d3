select distinct month
from kpi.kpi_monthly_product_pairs
order by month desc
