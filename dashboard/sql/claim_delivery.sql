-- One that is due; until its attempt has ended, or has had time enough, nobody else takes it.
with due as (
    select delivery_id
    from dashboard.deliveries
    where next_attempt_at <= now()
    order by next_attempt_at
    limit 1
    for update skip locked
)

update dashboard.deliveries as delivery
set
    attempts = delivery.attempts + 1,
    next_attempt_at = now() + make_interval(secs => :lease_seconds)
from due
where delivery.delivery_id = due.delivery_id
returning
    delivery.delivery_id, delivery.event_id, delivery.issue_id, delivery.channel, delivery.recipient, delivery.attempts
