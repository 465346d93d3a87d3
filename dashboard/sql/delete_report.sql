delete from dashboard.reports
where report_id = :report_id
returning report_id
