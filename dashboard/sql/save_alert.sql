insert into dashboard.alert_rules (
    name, measure, currency, kept, basis, direction, threshold, finished_days, from_date, webhook, email, recipients,
    created_by
)
values (
    :name, :measure, :currency, cast(:kept as jsonb), :basis, :direction, :threshold, :finished_days, :from_date, :webhook,
    :email, :recipients, :created_by
)
returning rule_id
