select product_id, product_name, net_sales, sales_rank, sales_share, cumulative_share, abc_class
from kpi.kpi_product_abc
where currency = :currency and sales_rank <= :limit
order by sales_rank
