-- Its events go with it, and the bells of all open pages are told.
with gone as (
    delete from dashboard.alert_rules where rule_id = :rule_id returning rule_id
)

select
    rule_id,
    pg_notify('alerts', '')
from gone
