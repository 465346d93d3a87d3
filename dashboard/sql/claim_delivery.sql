-- One that is due; until its attempt has ended, or has had time enough, nobody else takes it.
with due as (
    select
        event_id,
        channel
    from dashboard.alert_deliveries
    where next_attempt_at <= now()
    order by next_attempt_at
    limit 1
    for update skip locked
),

claimed as (
    update dashboard.alert_deliveries as delivery
    set
        attempts = delivery.attempts + 1,
        next_attempt_at = now() + make_interval(secs => :lease_seconds)
    from due
    where delivery.event_id = due.event_id and delivery.channel = due.channel
    returning delivery.event_id, delivery.channel, delivery.attempts
)

select
    claimed.event_id, claimed.channel, claimed.attempts, event.sale_date, event.mart_version, event.value, event.reference,
    event.fired_at, rule.rule_id, rule.name, rule.measure, rule.currency, rule.kept, rule.basis, rule.direction,
    rule.threshold, rule.finished_days, rule.from_date, rule.enabled, rule.webhook, rule.email, rule.created_by
from claimed
inner join dashboard.alert_events as event on event.event_id = claimed.event_id
inner join dashboard.alert_rules as rule on rule.rule_id = event.rule_id
