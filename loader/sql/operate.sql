-- Questions that a person asks about the ledger, and changes that a person makes to versions and rows.

-- name: files
-- Lists the ledger, newest version first, filtered by whatever is given.
select
    file_id, key, feed, status, attempts, events, rows_read, rows_loaded, rows_rejected, rows_skipped,
    waiting.rows as rows_waiting, waiting.since as waiting_since, waiting.example as waits_for, order_headers,
    error, warning, dialect, event_at, received_at, loaded_at, modelled_at, source_gone_at, superseded_by
from raw.files
left join raw.waiting_items as waiting using (file_id)
where
    (cast(:file_id as bigint) is null or file_id = :file_id)
    and (cast(:status as text) is null or status = :status)
    and (cast(:key as text) is null or key like :key)
    and (cast(:feed as text) is null or feed = :feed)
    and (cast(:since as timestamptz) is null or received_at >= :since)
order by file_id desc
limit :limit;

-- name: rejects
-- Lists rejected rows, newest file first, filtered by whatever is given. An error without a field concerns the whole
-- row.
select file_id, files.key, row_number, source_line, raw_text, errors, revenue_at_risk
from raw.rejected_rows
inner join raw.files using (file_id)
where
    (cast(:file_id as bigint) is null or file_id = :file_id)
    and (cast(:key as text) is null or key like :key)
    and (cast(:since as timestamptz) is null or rejected_at >= :since)
    and exists (
        select from jsonb_array_elements(errors) as listed (error)
        where
            (cast(:field as text) is null or coalesce(error ->> 'field', 'row') = :field)
            and (cast(:message as text) is null or error ->> 'message' ilike :message)
    )
order by file_id desc, row_number
limit :limit;

-- name: status
-- Where everything stands. The latency is that of files which needed one attempt: a file that was loaded again by hand
-- would count for days.
select
    (select coalesce(jsonb_object_agg(status, number), '{}') from (
        select status, count(*) as number from raw.files group by status
    ) as counts) as files,
    (select coalesce(sum(rows_loaded), 0) from raw.files where status = 'loaded') as rows_loaded,
    (select coalesce(sum(rows_rejected), 0) from raw.files where status = 'loaded') as rows_rejected,
    (select coalesce(sum(rows), 0) from raw.waiting_items) as rows_waiting,
    (select count(*) from raw.files where status = 'failed') as files_failed,
    (select jsonb_build_object(
        'file_id', file_id, 'key', key, 'status', status,
        'seconds', round(extract(epoch from clock_timestamp() - received_at))
    ) from raw.files where status in ('discovered', 'loading', 'failed') order by received_at limit 1) as oldest_waiting,
    (select count(distinct sale_date) from raw.rebuild_queue where sale_date >= raw.live_since()) as dates_waiting,
    (
        select round(extract(epoch from clock_timestamp() - min(enqueued_at)))
        from raw.rebuild_queue where sale_date >= raw.live_since()
    ) as queue_seconds,
    (select jsonb_build_object(
        'files', count(*),
        'p50', round(cast(percentile_cont(0.5) within group (order by seconds) as numeric), 1),
        'p95', round(cast(percentile_cont(0.95) within group (order by seconds) as numeric), 1)
    ) from (
        select extract(epoch from modelled_at - event_at) as seconds
        from raw.files
        where status = 'loaded' and attempts = 1 and modelled_at > clock_timestamp() - interval '1 day'
    ) as arrivals) as arrival_to_mart_seconds,
    (select mart_version from ops.mart_version) as mart_version,
    (select published_at from ops.mart_version) as published_at,
    (select jsonb_build_object('run_id', run_id, 'status', status, 'error', error)
        from raw.dbt_runs where is_live order by run_id desc limit 1) as last_dbt_run,
    (select jsonb_build_object('run_id', run_id, 'status', status, 'error', error)
        from raw.dbt_runs where is_history order by run_id desc limit 1) as last_history_run,
    (select jsonb_build_object(
        'run_id', run_id, 'started_by', started_by, 'started_at', started_at,
        'silent_seconds', round(extract(epoch from clock_timestamp() - coalesce(seen_at, started_at)))
    ) from raw.dbt_under_way where is_live) as dbt_under_way,
    (select unseen_objects from ops.bucket) as objects_unseen,
    (select coalesce(jsonb_agg(to_jsonb(problems) order by severity desc, since), '[]') from ops.problems) as problems;

-- name: versions
-- The versions that a person means; `corrected`: how many of their rejected rows were corrected by hand.
select
    file_id, bucket, key, status,
    (select count(*) from raw.replayed_rows as replayed where replayed.file_id = files.file_id) as corrected
from raw.files
where
    (cast(:file_ids as bigint[]) is null or file_id = any(:file_ids))
    and (cast(:states as text[]) is null or status = any(:states))
    and (cast(:key as text) is null or key like :key)
    and (cast(:since as timestamptz) is null or received_at >= :since)
    and (cast(:until as timestamptz) is null or received_at < :until)
order by file_id;

-- name: ledger_entry
-- One version of the ledger, with its contract: a correction of its rows has to agree with it.
select bucket, key, feed, kind, order_headers, header, status from raw.files where file_id = :file_id;

-- name: skip
-- Sets a version aside by hand. It matches no row if the version counts or has counted.
update raw.files set status = 'skipped', error = :reason, next_attempt_at = null
where file_id = :file_id and status not in ('loaded', 'unchanged', 'superseded', 'withdrawn')
returning file_id;

-- name: withdraw
-- Takes back a version that counts, by hand.
update raw.files set status = 'withdrawn', error = :reason where file_id = :file_id and status = 'loaded' returning file_id;

-- name: counting
-- Versions whose rows count, except those whose object is known to be gone.
select file_id, key, etag, size_bytes, rows_loaded from raw.files
where bucket = :bucket and starts_with(key, :prefix) and status = 'loaded' and source_gone_at is null
order by file_id;

-- name: rejects_to_export
-- Rejected rows with the header of their sheet, from the given versions, or else from all that count.
select file_id, key, feed, header, row_number, source_line, raw_text, errors
from raw.rejected_rows
inner join raw.files using (file_id)
where
    case when cast(:file_ids as bigint[]) is null then status = 'loaded' else file_id = any(:file_ids) end
    and (cast(:key as text) is null or key like :key)
order by file_id, row_number;

-- name: correctable
-- The rows among these that are still rejected, or were replayed before.
select row_number, source_line, false as replayed from raw.rejected_rows
where file_id = :file_id and row_number = any(:row_numbers)
union all
select row_number, source_line, true from raw.replayed_rows as replayed
where
    file_id = :file_id and row_number = any(:row_numbers)
    and not exists (
        select from raw.rejected_rows as rejected
        where rejected.file_id = replayed.file_id and rejected.row_number = replayed.row_number
    );

-- name: mark_replayed
-- Moves corrected rows from the rejected ones to the replayed ones, which keep the text before and after. An item that its
-- order contradicted was landed, and makes room for the corrected one.
with replayed as (
    delete from raw.rejected_rows where file_id = :file_id and row_number = any(:row_numbers) returning *
), contradicted as (
    delete from raw.sales_items where file_id = :file_id and row_number = any(:row_numbers)
)
insert into raw.replayed_rows (file_id, row_number, source_line, raw_text, errors, corrected_text, rejected_at)
select file_id, row_number, source_line, raw_text, errors, corrected.corrected_text, rejected_at
from replayed
inner join unnest(cast(:row_numbers as bigint[]), cast(:texts as text[])) as corrected (row_number, corrected_text)
    using (row_number)
on conflict (file_id, row_number) do update
set
    raw_text = excluded.raw_text, errors = excluded.errors, corrected_text = excluded.corrected_text,
    rejected_at = excluded.rejected_at;

-- name: still_rejected
-- Takes back that these rows were replayed, where their order contradicts them still; their faults.
with contradicted as (
    select row_number, errors from raw.rejected_rows where file_id = :file_id and row_number = any(:row_numbers)
), taken_back as (
    delete from raw.replayed_rows as replayed using contradicted
    where replayed.file_id = :file_id and replayed.row_number = contradicted.row_number
)
select row_number, errors from contradicted;

-- name: count_replayed
-- Counts corrected rows as loaded. The version is not modelled until its dates are rebuilt.
update raw.files
set
    rows_rejected = rows_rejected - :rows, rows_loaded = rows_loaded + :rows,
    modelled_at = case when not :is_awaited then modelled_at end
where file_id = :file_id;
