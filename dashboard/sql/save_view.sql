insert into dashboard.saved_views (name, page, query, created_by)
values (:name, :page, :query, :created_by)
returning view_id
