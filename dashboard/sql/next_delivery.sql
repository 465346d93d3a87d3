-- Negative where one is due already; null where none waits.
select extract(epoch from min(next_attempt_at) - now()) as seconds
from dashboard.deliveries
where next_attempt_at is not null
