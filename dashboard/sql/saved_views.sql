select view_id, name, page, query, created_by, created_at
from dashboard.saved_views
order by name
