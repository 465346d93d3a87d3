select product_a, product_b, orders, support, confidence_a_to_b, confidence_b_to_a, lift
from kpi.kpi_product_pairs
where month = :month
order by case when :by_lift then lift else orders end desc, orders desc, product_a, product_b
limit :limit
