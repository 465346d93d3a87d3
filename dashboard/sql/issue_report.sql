-- Nothing happens where it has been issued for that moment: by another process, or by a click just before.
with issued as (
    insert into dashboard.report_issues (report_id, due_at, by_hand)
    select
        report_id,
        coalesce(cast(:due_at as timestamptz), date_trunc('minute', now())),
        cast(:due_at as timestamptz) is null
    from dashboard.reports
    where report_id = :report_id
    on conflict on constraint report_issues_once do nothing
    returning issue_id, report_id
),

deliveries as (
    insert into dashboard.deliveries (issue_id, channel, recipient)
    select
        issued.issue_id,
        'email',
        recipient
    from issued
    inner join dashboard.reports as report on report.report_id = issued.report_id
    cross join unnest(report.recipients) as recipient
    group by issued.issue_id, recipient
)

select
    issue_id,
    pg_notify('reports', '')
from issued
