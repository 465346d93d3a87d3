-- Where it judges something else from now on, days before the newest one are the backtest's, as of a new rule.
update dashboard.alert_rules
set
    name = :name,
    measure = :measure,
    currency = :currency,
    kept = cast(:kept as jsonb),
    basis = :basis,
    direction = :direction,
    threshold = :threshold,
    finished_days = :finished_days,
    from_date = case
        when
            (measure, currency, kept, basis, direction, threshold, finished_days) is distinct from
            (:measure, :currency, cast(:kept as jsonb), :basis, :direction, cast(:threshold as numeric), :finished_days)
            then :from_date
        else from_date
    end,
    webhook = :webhook,
    email = :email,
    recipients = :recipients
where rule_id = :rule_id
returning rule_id
