select
    event.event_id, event.sale_date, event.mart_version, event.value, event.reference, event.fired_at, event.judged,
    rule.rule_id, rule.name, rule.measure, rule.currency, rule.kept, rule.basis, rule.direction, rule.threshold,
    rule.finished_days, rule.from_date, rule.enabled, rule.webhook, rule.email, rule.recipients, rule.created_by
from dashboard.alert_events as event
inner join dashboard.alert_rules as rule on rule.rule_id = event.rule_id
where event.event_id = :event_id
