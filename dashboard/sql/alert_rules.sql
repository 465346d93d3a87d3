select
    rule_id, name, measure, currency, kept, basis, direction, threshold, finished_days, from_date, enabled, webhook,
    email, recipients, created_by
from dashboard.alert_rules
order by name
