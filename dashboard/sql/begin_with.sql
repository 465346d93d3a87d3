with ended as (
    delete from dashboard.default_views
    where person = :whose and cast(:view_id as bigint) is null
)

insert into dashboard.default_views (person, view_id)
select :whose, view_id from dashboard.saved_views
where view_id = :view_id
on conflict (person) do update set view_id = excluded.view_id
