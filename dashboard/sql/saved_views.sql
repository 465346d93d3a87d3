-- PostgreSQL shows only the person who asks their own views.
select
    saved_views.view_id, saved_views.name, saved_views.page, saved_views.query, saved_views.created_by,
    saved_views.owner is not null as is_private,
    default_views.view_id is not null as is_first
from dashboard.saved_views
left join dashboard.default_views on default_views.view_id = saved_views.view_id
order by saved_views.name, saved_views.view_id
