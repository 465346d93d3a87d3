with changed as (
    update dashboard.reports
    set
        name = :name,
        view_id = :view_id,
        schedule = :schedule,
        weekday = :weekday,
        month_day = :month_day,
        hour = :hour,
        time_zone = :time_zone,
        recipients = :recipients,
        since = now()
    where report_id = :report_id
    returning report_id
)

select
    report_id,
    pg_notify('reports', '')
from changed
