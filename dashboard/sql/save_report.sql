with saved as (
    insert into dashboard.reports (
        name, view_id, schedule, weekday, month_day, hour, time_zone, recipients, created_by
    )
    values (
        :name, :view_id, :schedule, :weekday, :month_day, :hour, :time_zone, :recipients, :created_by
    )
    returning report_id
)

select
    report_id,
    pg_notify('reports', '')
from saved
