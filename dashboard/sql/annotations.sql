select annotation_id, day, sales_region, note, created_by, created_at
from dashboard.annotations
where deleted_at is null
order by day desc, annotation_id desc
