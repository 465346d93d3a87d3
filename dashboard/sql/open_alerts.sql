select count(*) as open_alerts
from dashboard.alert_events
where seen_at is null
