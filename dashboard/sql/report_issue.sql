select
    issue.issue_id, issue.due_at, issue.by_hand,
    report.report_id, report.name, report.view_id, report.schedule, report.weekday, report.month_day, report.hour,
    report.time_zone, report.recipients, report.enabled, report.since, report.created_by,
    view.name as view_name, view.page, view.query, null::timestamptz as last_due_at
from dashboard.report_issues as issue
inner join dashboard.reports as report on report.report_id = issue.report_id
left join dashboard.saved_views as view on view.view_id = report.view_id
where issue.issue_id = :issue_id
