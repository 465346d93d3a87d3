-- last_due_at: the last moment of its schedule for which it was issued.
select
    report.report_id, report.name, report.view_id, report.schedule, report.weekday, report.month_day, report.hour,
    report.time_zone, report.recipients, report.enabled, report.since, report.created_by,
    view.name as view_name, view.page, view.query,
    (
        select max(issue.due_at) from dashboard.report_issues as issue
        where issue.report_id = report.report_id and not issue.by_hand
    ) as last_due_at
from dashboard.reports as report
left join dashboard.saved_views as view on view.view_id = report.view_id
order by report.name
