-- What was due while it was off is not made up for.
with changed as (
    update dashboard.reports
    set
        enabled = :enabled,
        since = now()
    where report_id = :report_id
    returning report_id
)

select
    report_id,
    pg_notify('reports', '')
from changed
