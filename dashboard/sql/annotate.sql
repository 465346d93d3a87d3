with added as (
    insert into dashboard.annotations (day, sales_region, note, created_by)
    values (:day, :sales_region, :note, :created_by)
    returning annotation_id
)

select
    added.annotation_id,
    pg_notify('entries', '')
from added
