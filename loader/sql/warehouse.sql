-- name: lock_file
-- One loader at a time per object. The lock is the session's: a loader that dies gives it back.
select pg_advisory_lock(hashtextextended(:bucket || '/' || :key, 0));

-- name: unlock_file
select pg_advisory_unlock(hashtextextended(:bucket || '/' || :key, 0));

-- name: discover
insert into raw.files (bucket, key, version_id, etag, size_bytes, event_at)
values (:bucket, :key, :version_id, :etag, :size, :event_at)
on conflict on constraint files_identity do update
set
    events = raw.files.events + 1,
    -- A version that was gone and is back has arrived anew.
    event_at = case when raw.files.status in ('superseded', 'source_gone') then excluded.event_at else raw.files.event_at end,
    received_at = case when raw.files.status in ('superseded', 'source_gone') then now() else raw.files.received_at end
returning file_id, status, attempts;

-- name: ignore
update raw.files set status = 'ignored', error = :error where file_id = :file_id;

-- name: start_loading
update raw.files
set status = 'loading', feed = :feed, attempts = attempts + 1, loading_at = clock_timestamp(), error = null, next_attempt_at = null
where file_id = :file_id;

-- name: clear_rejected_rows
-- An earlier attempt at the same version may have left its report.
delete from raw.rejected_rows where file_id = :file_id;

-- name: current_versions
-- One, or more where its feed says that uploads add up.
select file_id, sha256 from raw.files
where bucket = :bucket and key = :key and status = 'loaded' and file_id <> :file_id
order by file_id;

-- name: enqueue_dates_of_earlier_version
insert into raw.rebuild_queue (sale_date, file_id)
select distinct sale_date, cast(:file_id as bigint) from raw.sales_lines where file_id = :earlier_file_id
on conflict (sale_date, file_id) where run_id is null do nothing;

-- name: delete_lines
delete from raw.sales_lines where file_id = :file_id;

-- name: supersede
-- All that was known of the key gives way: the version that counted, its identical twins, rejected and failed ones.
update raw.files set status = 'superseded', superseded_by = :file_id
where
    bucket = :bucket and key = :key and file_id <> :file_id
    and status not in ('superseded', 'ignored', 'skipped', 'withdrawn')
    and (:reupload <> 'append' or status not in ('loaded', 'unchanged'));

-- name: set_aside
update raw.files set status = 'skipped', error = :error where file_id = :file_id;

-- name: enqueue_dates
insert into raw.rebuild_queue (sale_date, file_id)
select unnest(cast(:dates as date[])), :file_id
on conflict (sale_date, file_id) where run_id is null do nothing;

-- name: finish
-- A file that changes no date has nothing to wait for.
update raw.files
set
    status = :status, error = :error, sha256 = :sha256,
    rows_read = :rows_read, rows_loaded = :rows_loaded, rows_rejected = :rows_rejected, rows_skipped = :rows_skipped,
    skipped = cast(:skipped as jsonb), reupload = :reupload,
    loaded_at = case when :status = 'loaded' then clock_timestamp() end,
    modelled_at = case
        when :status = 'loaded'
            and not exists (select from raw.rebuild_queue as queue where queue.file_id = :file_id)
            then clock_timestamp()
    end
where file_id = :file_id;

-- name: describe
update raw.files
set
    compression = :compression, encoding = :encoding, encoding_guessed = :encoding_guessed,
    header = cast(:header as text[]), drift = cast(:drift as jsonb)
where file_id = :file_id;

-- name: fail
update raw.files
set status = 'failed', error = :error, next_attempt_at = clock_timestamp() + make_interval(secs => :seconds)
where bucket = :bucket and key = :key and status in ('discovered', 'loading', 'failed');

-- name: source_gone
update raw.files set status = 'source_gone', error = :error
where bucket = :bucket and key = :key and status in ('discovered', 'loading', 'failed');

-- name: seen
-- What the watcher need not announce: versions that have been dealt with, and failed ones until their time comes.
select key, etag, size_bytes, status
from raw.files
where
    bucket = :bucket
    and status in ('loaded', 'unchanged', 'rejected', 'ignored', 'skipped', 'withdrawn', 'failed')
    and (next_attempt_at is null or next_attempt_at > clock_timestamp());

-- name: notify_queue
select pg_notify('rebuild_queue', '');

-- name: files
select
    file_id, key, feed, status, attempts, events, rows_read, rows_loaded, rows_rejected, rows_skipped, error,
    event_at, received_at, loaded_at, modelled_at, superseded_by
from raw.files
where
    (cast(:status as text) is null or status = :status)
    and (cast(:key as text) is null or key like :key)
order by file_id desc
limit :limit;

-- name: rejects
select file_id, files.key, source_line, raw_text, errors, revenue_at_risk
from raw.rejected_rows
inner join raw.files using (file_id)
where
    (cast(:file_id as bigint) is null or file_id = :file_id)
    and (cast(:key as text) is null or key like :key)
order by file_id desc, row_number
limit :limit;

-- name: status
select
    (select coalesce(jsonb_object_agg(status, number), '{}') from (
        select status, count(*) as number from raw.files group by status
    ) as counts) as files,
    (select coalesce(sum(rows_loaded), 0) from raw.files where status = 'loaded') as rows_loaded,
    (select coalesce(sum(rows_rejected), 0) from raw.files where status = 'loaded') as rows_rejected,
    (select count(distinct sale_date) from raw.rebuild_queue) as dates_waiting,
    (select mart_version from ops.mart_version) as mart_version,
    (select published_at from ops.mart_version) as published_at,
    (select jsonb_build_object('run_id', run_id, 'status', status, 'error', error)
        from raw.dbt_runs order by run_id desc limit 1) as last_dbt_run;

-- name: try_transform_lock
-- One dbt worker at a time across replicas, for as long as its session lives.
select pg_try_advisory_lock(hashtextextended('transform', 0));

-- name: abandon_runs
-- Runs of a worker that died: under the lock nobody else can be running.
update raw.dbt_runs set status = 'failed', finished_at = clock_timestamp(), error = 'the worker stopped during the run'
where status = 'running';

-- name: start_run
-- The frozen set: everything that waits now, and what failed runs had claimed.
with run as (
    insert into raw.dbt_runs (dates, files)
    select count(distinct sale_date), count(distinct file_id) from raw.rebuild_queue
    having count(*) > 0
    returning run_id, dates, files
), claimed as (
    update raw.rebuild_queue set run_id = run.run_id from run returning queue_id
)
select run_id, dates, files from run;

-- name: publish_marts
select ops.publish_marts(:run_id);

-- name: mark_modelled
update raw.files set modelled_at = clock_timestamp()
where status = 'loaded' and file_id in (select file_id from raw.rebuild_queue where run_id = :run_id);

-- name: acknowledge
delete from raw.rebuild_queue where run_id = :run_id;

-- name: publish
update ops.mart_version set mart_version = mart_version + 1, published_at = clock_timestamp() returning mart_version;

-- name: finish_run
update raw.dbt_runs
set status = :status, finished_at = clock_timestamp(), nodes = cast(:nodes as jsonb), error = :error, mart_version = :mart_version
where run_id = :run_id;

-- name: notify_version
select pg_notify('mart_version', cast(:mart_version as text));
