select product_id, product_name
from kpi.kpi_products
