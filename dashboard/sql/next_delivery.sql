select greatest(extract(epoch from min(next_attempt_at) - now()), 0) as seconds
from dashboard.alert_deliveries
where next_attempt_at is not null
