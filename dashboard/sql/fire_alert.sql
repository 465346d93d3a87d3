-- Nothing happens where the period has fired before: by another process, or by this one at an earlier version.
with fired as (
    insert into dashboard.alert_events (rule_id, sale_date, mart_version, value, reference, judged)
    values (:rule_id, :sale_date, :mart_version, :value, :reference, cast(:judged as jsonb))
    on conflict on constraint alert_events_once do nothing
    returning event_id
),

deliveries as (
    insert into dashboard.deliveries (event_id, channel, recipient)
    select
        fired.event_id,
        wanted.channel,
        wanted.recipient
    from fired
    cross join unnest(cast(:channels as text []), cast(:recipients as text [])) as wanted (channel, recipient)
)

select
    event_id,
    pg_notify('alerts', '')
from fired
