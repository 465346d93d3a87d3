-- Nothing happens where the day has fired before: by another process, or by this one at an earlier version.
with fired as (
    insert into dashboard.alert_events (rule_id, sale_date, mart_version, value, reference)
    values (:rule_id, :sale_date, :mart_version, :value, :reference)
    on conflict on constraint alert_events_once do nothing
    returning event_id
),

deliveries as (
    insert into dashboard.alert_deliveries (event_id, channel)
    select
        fired.event_id,
        wanted.channel
    from fired
    cross join unnest(cast(:channels as text [])) as wanted (channel)
)

select
    event_id,
    pg_notify('alerts', '')
from fired
