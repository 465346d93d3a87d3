with changes as (
    insert into dashboard.target_changes (month, place_type, place, currency, target_net_sales, changed_by)
    select :month, :place_type, wanted.place, :currency, wanted.target, :changed_by
    from jsonb_to_recordset(cast(:targets as jsonb)) as wanted (place text, target numeric)
    returning change_id
)

select
    count(*) as changes,
    pg_notify('entries', '')
from changes
