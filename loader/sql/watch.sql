-- The ledger as the watcher compares it with the bucket, and the difference that it records.

-- name: seen
-- Versions that the watcher need not announce: those that have been dealt with, and failed ones until their time comes.
-- A version whose object was gone and is back is announced, so that the ledger learns it; so is one that came back
-- while another version of its key waited.
select key, etag, size_bytes, status
from raw.files as files
where
    bucket = :bucket
    and status in ('loaded', 'unchanged', 'rejected', 'ignored', 'skipped', 'withdrawn', 'failed')
    and source_gone_at is null
    and (status <> 'failed' or next_attempt_at > clock_timestamp())
    and not exists (
        select from raw.files as other
        where
            other.bucket = files.bucket and other.key = files.key and other.file_id <> files.file_id
            and other.status in ('discovered', 'loading', 'failed')
    );

-- name: waiting_objects
-- The versions that wait to be loaded. There is always at least one row, for the time at which a look begins: whatever
-- the ledger gets later was already in the bucket.
select clock.looked_at, files.key, files.etag, files.size_bytes
from (select clock_timestamp() as looked_at) as clock
left join raw.files as files on files.bucket = :bucket and files.status in ('discovered', 'loading', 'failed');

-- name: looked
-- Records how many objects were unknown to the ledger at this look. `unseen_since`: there were some at every look since
-- then.
insert into raw.bucket_looks as look (bucket, unseen_objects, unseen_since, looked_at)
values (:bucket, :objects, case when :objects > 0 then now() end, :looked_at)
on conflict (bucket) do update
set
    unseen_objects = excluded.unseen_objects,
    unseen_since = case when excluded.unseen_objects > 0 then coalesce(look.unseen_since, excluded.unseen_since) end,
    looked_at = excluded.looked_at;
