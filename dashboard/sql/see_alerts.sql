-- Those that were on the page, and not one that has fired since.
with seen as (
    update dashboard.alert_events
    set seen_at = now()
    where seen_at is null and event_id <= :newest
    returning event_id
)

select
    count(*) as seen,
    pg_notify('alerts', '')
from seen
