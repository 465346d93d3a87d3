select
    event.event_id, event.sale_date, event.value, event.reference, event.fired_at, event.seen_at is null as is_open,
    event.judged,
    rule.name, rule.measure, rule.currency, rule.kept, rule.basis, rule.direction, rule.threshold, rule.finished_days,
    rule.from_date, rule.enabled, rule.webhook, rule.email, rule.recipients, rule.created_by, rule.rule_id,
    (
        -- Without the addresses: everybody may look at this.
        select string_agg(distinct told.line, '; ' order by told.line)
        from (
            select
                delivery.channel || case
                    when delivery.delivered_at is not null then ': delivered'
                    when delivery.next_attempt_at is null then ': given up, ' || coalesce(delivery.error, '')
                    when delivery.error is null then ': on its way'
                    else ': tried ' || delivery.attempts || ' times, ' || delivery.error
                end as line
            from dashboard.deliveries as delivery
            where delivery.event_id = event.event_id
        ) as told
    ) as deliveries
from dashboard.alert_events as event
inner join dashboard.alert_rules as rule on rule.rule_id = event.rule_id
order by event.fired_at desc, event.event_id desc
limit :limit
