insert into dashboard.saved_views (name, page, query, created_by, owner)
values (:name, :page, :query, :created_by, :owner)
returning view_id
