-- The day of the order that a line of this number and day is of, and that on which the number comes again. As in the
-- marts, a return is of the latest completed order up to its own day.
select
    coalesce(
        max(sale_date) filter (where sale_date = :line_date or sale_date < :line_date and order_status = 'completed'),
        cast(:line_date as date)
    ) as order_date,
    min(sale_date) filter (where sale_date > :line_date and order_status = 'completed') as next_date
from kpi.kpi_orders
where feed = :feed and sale_id = :sale_id
