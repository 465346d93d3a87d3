select sale_date, customer_type, customers, orders, sold_value
from kpi.kpi_daily_customers
where currency = :currency and sale_date between :first_date and :last_date
order by sale_date, customer_type
