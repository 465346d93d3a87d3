-- The newest month first: the months that have the month they are compared with.
select distinct comparison, month
from kpi.kpi_price_volume_mix
where currency = :currency
order by comparison, month desc
