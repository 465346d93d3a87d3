select as_of_date, age, pending_payment_value
from kpi.kpi_pending_payments
where currency = :currency
order by array_position(array['0 to 7 days', '8 to 30 days', '31 to 90 days', 'over 90 days'], age)
