with deleted as (
    update dashboard.annotations
    set deleted_at = now(), deleted_by = :deleted_by
    where annotation_id = :annotation_id and deleted_at is null
    returning annotation_id
)

select
    deleted.annotation_id,
    pg_notify('entries', '')
from deleted
