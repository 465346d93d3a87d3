-- The last issue of each report with its deliveries, a row for each recipient.
select
    issue.report_id, issue.issued_at, issue.by_hand, delivery.recipient, delivery.attempts, delivery.delivered_at,
    delivery.next_attempt_at, delivery.error
from (
    select distinct on (report_id)
        issue_id, report_id, issued_at, by_hand
    from dashboard.report_issues
    order by report_id, issue_id desc
) as issue
inner join dashboard.deliveries as delivery on delivery.issue_id = issue.issue_id
order by issue.report_id, delivery.recipient
