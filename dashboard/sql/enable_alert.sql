update dashboard.alert_rules
set enabled = :enabled
where rule_id = :rule_id
returning rule_id
