-- Statements that bring history into PostgreSQL. They are asked as the login of dbt, which owns the marts.

-- name: not_in_lake
-- Keys of files with sales before the seam that the lake does not have, or not in this version; a few of them.
with lake as (
    select * from jsonb_to_recordset(cast(:lake_files as jsonb))
        as lake (bucket text, key text, etag text, size_bytes bigint)
), dated as (
    select file_id from raw.sales_lines where sale_date < :before
    union
    select file_id from raw.rebuild_queue where sale_date < :before
)
select files.key
from raw.files
inner join dated using (file_id)
where not exists (
    select from lake
    where
        lake.bucket = files.bucket and lake.key = files.key and lake.etag = files.etag
        and lake.size_bytes = files.size_bytes
)
order by files.key
limit 4;

-- name: columns_of
-- The columns of a table, in the order of their names; of one that is not there, none.
select coalesce(array_agg(cast(attname as text) order by attname), array[]::text[])
from pg_attribute
where attrelid = to_regclass(:relation) and attnum > 0 and not attisdropped;

-- name: set_seam
-- Move the first date of the live window, and say where the lines of earlier dates are.
insert into ops.seam (live_since, lake) values (:live_since, :lake)
on conflict (is_one) do update set live_since = excluded.live_since, lake = excluded.lake, served_at = now();

-- name: acknowledge_served
-- Take the dates before the seam off the queue, of files that the lake has; how many they were.
select raw.acknowledge_served(cast(:lake_files as jsonb));

