-- name: revision_is_readable
select
    has_schema_privilege('public', 'usage')
    and coalesce(has_table_privilege(to_regclass('public.alembic_version'), 'select'), false);

-- name: revision
select version_num from public.alembic_version;

-- name: lock_file
-- One loader at a time per object. The lock is the session's: a loader that dies gives it back.
select pg_advisory_lock(hashtextextended(:bucket || '/' || :key, 0));

-- name: limit_lock_wait
select set_config('lock_timeout', :milliseconds, true);

-- name: end_stalled_holder
-- The session that holds the object's lock and has asked nothing of PostgreSQL for so long: stopped, hung, or cut off.
-- One that works (a long statement) is left alone; one that COPY waits for is not. What is ended is a set of its own: of
-- conditions side by side the planner asks the cheapest first, which is the one that ends the session. Every login may
-- take the lock; of another one than this, PostgreSQL does not tell what it does, nor let it be ended: `ended` is null.
with holder as (
    select
        activity.pid, activity.usename as login,
        extract(epoch from clock_timestamp() - greatest(activity.query_start, activity.state_change)) as idle_seconds
    from (select hashtextextended(:bucket || '/' || :key, 0) as number) as hash
    inner join pg_locks as locks on
        locks.locktype = 'advisory'
        and locks.granted
        and locks.objsubid = 1
        and locks.classid = ((hash.number >> 32) & 4294967295)::oid
        and locks.objid = (hash.number & 4294967295)::oid
        and locks.database = (select oid from pg_database where datname = current_database())
    inner join pg_stat_activity as activity on locks.pid = activity.pid
    where activity.state like 'idle%' or activity.wait_event = 'ClientRead' or activity.usename <> current_user
), stalled as materialized (
    select pid, login, idle_seconds from holder where idle_seconds > :lease_seconds or login <> current_user
)
select pid, login, idle_seconds, case when login = current_user then pg_terminate_backend(pid) end as ended from stalled;

-- name: unlock_file
select pg_advisory_unlock(hashtextextended(:bucket || '/' || :key, 0));

-- name: discover
insert into raw.files (bucket, key, version_id, etag, size_bytes, event_at, dialect)
values (:bucket, :key, :version_id, :etag, :size, :event_at, :dialect)
on conflict on constraint files_identity do update
set
    events = raw.files.events + case when cast(:dialect as text) is null then 0 else 1 end,
    dialect = coalesce(raw.files.dialect, excluded.dialect),
    source_gone_at = null,
    -- A version that was gone and is back has arrived anew.
    event_at = case when raw.files.status in ('superseded', 'source_gone') then excluded.event_at else raw.files.event_at end,
    received_at = case when raw.files.status in ('superseded', 'source_gone') then now() else raw.files.received_at end
returning file_id, status;

-- name: ignore
update raw.files set status = 'ignored', error = :error, next_attempt_at = null where file_id = :file_id;

-- name: start_loading
update raw.files
set
    status = 'loading', feed = :feed, kind = :kind, order_headers = :order_headers, shares = :shares,
    timezone = :timezone, times = :times, attempts = attempts + 1, loading_at = clock_timestamp(), error = null,
    next_attempt_at = null
where file_id = :file_id;

-- name: clear_rejected_rows
-- An earlier attempt at the same version may have left its report.
delete from raw.rejected_rows where file_id = :file_id;

-- name: current_versions
-- One, or more where its feed says that uploads add up.
select file_id, sha256 from raw.files
where bucket = :bucket and key = :key and status = 'loaded' and file_id <> :file_id
order by file_id;

-- name: remove_lines
-- A version's rows go, with those that were corrected by hand. Gives their dates, which are to be rebuilt. Items that had
-- their header of it wait again.
with corrections as (
    delete from raw.replayed_rows where file_id = :file_id
), headers as (
    delete from raw.order_headers where file_id = :file_id
), items as (
    delete from raw.sales_items where file_id = :file_id
), removed as (
    delete from raw.sales_lines where file_id = :file_id returning sale_date
), left_alone as (
    update raw.sales_items set header_file_id = null, header_row = null, waits_since = clock_timestamp()
    where header_file_id = :file_id
    returning file_id, row_number
), undated as (
    delete from raw.sales_lines as line using left_alone
    where line.file_id = left_alone.file_id and line.row_number = left_alone.row_number
    returning line.sale_date
)
select sale_date from removed
union
select sale_date from undated;

-- name: undate_items
-- Takes items away from their header where this sheet says something else of the order. They wait until `date_items`
-- has decided which of the two counts. A sheet that says the same once more moves nothing. Gives the dates of their lines.
with bookkeeping as (
    select array['file_id', 'row_number', 'source_line', 'extra'] as columns
), doubted as (
    update raw.sales_items as item set header_file_id = null, header_row = null, waits_since = clock_timestamp()
    from raw.order_headers as stated
    inner join raw.files as sheet on sheet.file_id = stated.file_id
    inner join raw.order_headers as other on other.sale_id = stated.sale_id
    inner join raw.files as other_sheet on other_sheet.file_id = other.file_id and other_sheet.feed = sheet.feed
    cross join bookkeeping
    where
        stated.file_id = :file_id
        and item.header_file_id = other.file_id
        and item.header_row = other.row_number
        and to_jsonb(stated) - bookkeeping.columns <> to_jsonb(other) - bookkeeping.columns
    returning item.file_id, item.row_number
), undated as (
    delete from raw.sales_lines as line using doubted
    where line.file_id = doubted.file_id and line.row_number = doubted.row_number
    returning line.sale_date
)
select distinct sale_date from undated;

-- name: date_items
-- Items that wait, of this sheet or, where it is one of headers, of all that its feed has the orders of, become lines, if
-- their headers are there. Of several headers the one counts whose sheet was written into the bucket last, in whichever
-- order they are loaded. What an item states itself counts before what its order states; a cancelled order has no sale and
-- no return. Gives the dates of the new lines.
with found as (
    select distinct on (item.file_id, item.row_number)
        item.file_id,
        item.row_number,
        header.file_id as header_file_id,
        header.row_number as header_row
    from raw.files as arrived
    inner join raw.files as sheet
        on case arrived.kind when 'order_headers' then arrived.feed = sheet.order_headers else arrived.file_id = sheet.file_id end
    inner join raw.sales_items as item on item.file_id = sheet.file_id and item.header_file_id is null
    inner join raw.order_headers as header on header.sale_id = item.sale_id
    inner join raw.files as header_sheet
        on header_sheet.file_id = header.file_id and header_sheet.feed = sheet.order_headers
    where arrived.file_id = :file_id
    order by
        item.file_id, item.row_number, header_sheet.event_at desc, header.file_id desc, header.row_number desc
), matched as (
    update raw.sales_items as item
    set header_file_id = found.header_file_id, header_row = found.header_row, waits_since = null
    from found
    where item.file_id = found.file_id and item.row_number = found.row_number
    returning item.*
), dated as (
    insert into raw.sales_lines (
        file_id, row_number, source_line, sale_id, line_number, sold_at, sale_date, line_type,
        product_id, product_name, product_category, quantity, unit_price, line_total, discount_rate, discount_amount,
        unit_cost, line_cost, tax_amount, shipping_cost, currency,
        payment_method, payment_status, payment_date, customer_id, customer_name,
        store_id, sales_channel, sales_region, sales_representative,
        customer_rating, delivery_status, delivery_date, stated_total, stated_cost, stated_profit, extra
    )
    select
        item.file_id, item.row_number, item.source_line, item.sale_id, item.line_number, header.sold_at, header.sale_date,
        case when header.line_type = 'cancellation' or item.line_type = 'sale' then header.line_type else item.line_type end,
        item.product_id, item.product_name, item.product_category, item.quantity, item.unit_price, item.line_total,
        item.discount_rate, item.discount_amount,
        item.unit_cost, item.line_cost, item.tax_amount, item.shipping_cost,
        coalesce(item.currency, header.currency, 'XXX'),
        coalesce(item.payment_method, header.payment_method),
        coalesce(item.payment_status, header.payment_status),
        coalesce(item.payment_date, header.payment_date),
        coalesce(item.customer_id, header.customer_id),
        coalesce(item.customer_name, header.customer_name),
        coalesce(item.store_id, header.store_id),
        coalesce(item.sales_channel, header.sales_channel),
        coalesce(item.sales_region, header.sales_region),
        coalesce(item.sales_representative, header.sales_representative),
        item.customer_rating,
        coalesce(item.delivery_status, header.delivery_status),
        coalesce(item.delivery_date, header.delivery_date),
        item.stated_total, item.stated_cost, item.stated_profit, item.extra
    from matched as item
    inner join raw.order_headers as header
        on header.file_id = item.header_file_id and header.row_number = item.header_row
    returning sale_date
)
select distinct sale_date from dated;

-- name: supersede
-- All that was known of the key gives way: the version that counted, its identical twins, rejected and failed ones.
-- What a person set aside stays so.
update raw.files set status = 'superseded', superseded_by = :file_id, next_attempt_at = null
where
    bucket = :bucket and key = :key and file_id <> :file_id
    and status not in ('superseded', 'ignored', 'skipped', 'withdrawn')
    and (:reupload <> 'append' or status not in ('loaded', 'unchanged'));

-- name: set_aside
update raw.files set status = 'skipped', error = :error, next_attempt_at = null where file_id = :file_id;

-- name: enqueue_dates
-- At the end of what changes their rows: a date that waits already is locked until then, so that no run of dbt claims it
-- before it can see the change.
insert into raw.rebuild_queue (sale_date, file_id)
select unnest(cast(:dates as date[])), :file_id
on conflict (sale_date, file_id) where run_id is null do update set file_id = excluded.file_id;

-- name: emptied_dates
-- Those of the dates of which no file has a line any more.
select removed.sale_date from unnest(cast(:dates as date[])) as removed (sale_date)
left join lateral (
    select true as is_there from raw.sales_lines as line where line.sale_date = removed.sale_date limit 1
) as line on true
where line.is_there is null
order by removed.sale_date;

-- name: finish
-- A file that changes no date has nothing to wait for.
update raw.files
set
    status = :status, error = :error, sha256 = :sha256, next_attempt_at = null,
    rows_read = :rows_read, rows_loaded = :rows_loaded, rows_rejected = :rows_rejected, rows_skipped = :rows_skipped,
    skipped = cast(:skipped as jsonb), reupload = :reupload, warning = :warning,
    loaded_at = case when :status = 'loaded' then clock_timestamp() end,
    modelled_at = case
        when :status = 'loaded'
            and not exists (select from raw.rebuild_queue as queue where queue.file_id = :file_id and queue.run_id is null)
            then clock_timestamp()
    end
where file_id = :file_id;

-- name: describe
update raw.files
set
    compression = :compression, encoding = :encoding, encoding_guessed = :encoding_guessed,
    header = cast(:header as text[]), drift = cast(:drift as jsonb), profile = cast(:profile as jsonb)
where file_id = :file_id;

-- name: fail
update raw.files
set status = 'failed', error = :error, next_attempt_at = clock_timestamp() + make_interval(secs => :seconds)
where bucket = :bucket and key = :key and status in ('discovered', 'loading', 'failed');

-- name: unsettled
-- Of these keys, those whose objects' removal would change the ledger: something waits for the object (`waits`), or its
-- rows count and nothing says yet that it is gone.
select key, bool_or(status <> 'loaded') as waits from raw.files
where
    bucket = :bucket and key = any(:keys)
    and (status in ('discovered', 'loading', 'failed') or status = 'loaded' and source_gone_at is null)
group by key;

-- name: source_gone
update raw.files set status = 'source_gone', error = :error, next_attempt_at = null
where bucket = :bucket and key = :key and status in ('discovered', 'loading', 'failed')
returning file_id;

-- name: replaced
-- Versions that waited while the bucket got back one that had been dealt with before: nobody can load them any more.
update raw.files
set status = 'source_gone', error = 'the object was replaced before it was loaded', next_attempt_at = null
where
    bucket = :bucket and key = :key and file_id <> :file_id and status in ('discovered', 'loading', 'failed');

-- name: mark_removed
-- Rows of a loaded version go on counting; what was not loaded yet never will be.
update raw.files
set
    source_gone_at = coalesce(source_gone_at, clock_timestamp()),
    error = case when status = 'loaded' then error else 'the object was deleted before it was loaded' end,
    status = case when status = 'loaded' then status else 'source_gone' end,
    next_attempt_at = null
where bucket = :bucket and key = :key and status in ('loaded', 'discovered', 'loading', 'failed')
returning file_id, status;

-- name: seen
-- What the watcher need not announce: versions that have been dealt with, and failed ones until their time comes.
-- A version whose object was gone and is back is announced, for the ledger to know; so is one that came back while
-- another of its key waited.
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
-- At least one row, for the time at which a look begins: what the ledger gets from then on was among what it finds.
select clock.looked_at, files.key, files.etag, files.size_bytes
from (select clock_timestamp() as looked_at) as clock
left join raw.files as files on files.bucket = :bucket and files.status in ('discovered', 'loading', 'failed');

-- name: looked
-- `unseen_since`: at every look since then there were some.
insert into raw.bucket_looks as look (bucket, unseen_objects, unseen_since, looked_at)
values (:bucket, :objects, case when :objects > 0 then now() end, :looked_at)
on conflict (bucket) do update
set
    unseen_objects = excluded.unseen_objects,
    unseen_since = case when excluded.unseen_objects > 0 then coalesce(look.unseen_since, excluded.unseen_since) end,
    looked_at = excluded.looked_at;

-- name: beat
with forgotten as (
    delete from raw.heartbeats
    where process = :process and instance <> :instance and seen_at < now() - interval '1 day'
)
insert into raw.heartbeats (process, instance) values (:process, :instance)
on conflict (process, instance) do update set seen_at = clock_timestamp();

-- name: end_heartbeat
delete from raw.heartbeats where process = :process and instance = :instance;

-- name: notify_queue
select pg_notify('rebuild_queue', '');

-- name: files
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
-- The latency is that of files which needed one attempt: one that was loaded again by hand would count for days.
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
    (select count(distinct sale_date) from raw.rebuild_queue) as dates_waiting,
    (select round(extract(epoch from clock_timestamp() - min(enqueued_at))) from raw.rebuild_queue) as queue_seconds,
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

-- name: metrics
-- What Prometheus is told of the pipeline as a whole, by whichever process it asks. Null: there is nothing to tell yet.
-- Times are seconds. The latency is that of files which needed one attempt, as in `status`. The clock of the condition
-- is now(), because an index cannot be asked with one that goes on. Runs of no dates are tests, or of the whole history.
with waiting as (
    select
        count(*) filter (where status = 'discovered') as discovered,
        count(*) filter (where status = 'loading') as loading,
        count(*) filter (where status = 'failed') as failed,
        min(received_at) as since
    from raw.files
    where status in ('discovered', 'loading', 'failed')
), arrivals as (
    select percentile_cont(array[0.5, 0.95, 1]) within group (
        order by cast(extract(epoch from modelled_at - event_at) as double precision)
    ) as seconds
    from raw.files
    where status = 'loaded' and attempts = 1 and modelled_at > now() - interval '1 hour'
), queue as (
    select count(distinct sale_date) as dates, min(enqueued_at) as since from raw.rebuild_queue
), last_run as (
    select status, started_at, finished_at from raw.dbt_runs
    where status <> 'running' and dates > 0
    order by run_id desc limit 1
), last_success as (
    select run_id from raw.dbt_runs where status = 'succeeded' and dates > 0 order by run_id desc limit 1
), failures as (
    select count(*) as runs from raw.dbt_runs
    where status = 'failed' and dates > 0 and run_id > coalesce((select run_id from last_success), 0)
)
select
    waiting.discovered,
    waiting.loading,
    waiting.failed,
    coalesce(extract(epoch from clock_timestamp() - waiting.since), 0) as waiting_seconds,
    queue.dates as queue_dates,
    coalesce(extract(epoch from clock_timestamp() - queue.since), 0) as queue_seconds,
    last_run.status = 'succeeded' as run_succeeded,
    extract(epoch from last_run.finished_at - last_run.started_at) as run_seconds,
    extract(epoch from last_run.finished_at) as run_finished_at,
    failures.runs as failed_runs,
    mart.mart_version,
    extract(epoch from mart.published_at) as published_at,
    extract(epoch from clock_timestamp() - coalesce(under_way.seen_at, under_way.started_at)) as run_silence_seconds,
    arrivals.seconds as arrival_to_mart,
    (select unseen_objects from ops.bucket) as objects_unseen,
    array(select array[problem, severity, coalesce(subject, '')] from ops.problems) as problems
from waiting
cross join arrivals
cross join queue
cross join failures
cross join ops.mart_version as mart
left join raw.dbt_under_way as under_way on under_way.is_live
left join last_run on true;

-- name: health
select
    (select status from raw.dbt_runs where status <> 'running' and dates > 0 order by run_id desc limit 1) as last_dbt_run,
    (select jsonb_build_object(
        'run_id', run_id, 'started_by', started_by, 'started_at', started_at,
        'silent_seconds', round(extract(epoch from clock_timestamp() - coalesce(seen_at, started_at)))
    ) from raw.dbt_under_way where is_live) as dbt_under_way;

-- name: versions
-- The versions that a person speaks of; `corrected`: how many of their rejected rows were corrected by hand.
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

-- name: skip
update raw.files set status = 'skipped', error = :reason, next_attempt_at = null
where file_id = :file_id and status not in ('loaded', 'unchanged', 'superseded', 'withdrawn')
returning file_id;

-- name: withdraw
update raw.files set status = 'withdrawn', error = :reason where file_id = :file_id and status = 'loaded' returning file_id;

-- name: counting
-- Versions whose rows count, as far as their object is not known to be gone.
select file_id, key, etag, size_bytes, rows_loaded from raw.files
where bucket = :bucket and starts_with(key, :prefix) and status = 'loaded' and source_gone_at is null
order by file_id;

-- name: rejects_to_export
select file_id, key, feed, header, row_number, source_line, raw_text, errors
from raw.rejected_rows
inner join raw.files using (file_id)
where
    case when cast(:file_ids as bigint[]) is null then status = 'loaded' else file_id = any(:file_ids) end
    and (cast(:key as text) is null or key like :key)
order by file_id, row_number;

-- name: correctable
-- What is known of rows that a person has corrected: still rejected, or replayed before.
select row_number, source_line, false as replayed from raw.rejected_rows
where file_id = :file_id and row_number = any(:row_numbers)
union all
select row_number, source_line, true from raw.replayed_rows
where file_id = :file_id and row_number = any(:row_numbers);

-- name: ledger_entry
select bucket, key, feed, kind, order_headers, header, status from raw.files where file_id = :file_id;

-- name: mark_replayed
with replayed as (
    delete from raw.rejected_rows where file_id = :file_id and row_number = any(:row_numbers) returning *
)
insert into raw.replayed_rows (file_id, row_number, source_line, raw_text, errors, corrected_text, rejected_at)
select file_id, row_number, source_line, raw_text, errors, corrected.corrected_text, rejected_at
from replayed
inner join unnest(cast(:row_numbers as bigint[]), cast(:texts as text[])) as corrected (row_number, corrected_text)
    using (row_number);

-- name: count_replayed
-- Not modelled until its dates are rebuilt.
update raw.files
set
    rows_rejected = rows_rejected - :rows, rows_loaded = rows_loaded + :rows,
    modelled_at = case when not :is_awaited then modelled_at end
where file_id = :file_id;

-- name: waiting_for_dbt
-- The dates to rebuild, and whether runs are under way that show life. `is_behind`: the facts have changed since one of
-- these marts of the whole history was built. `is_due`: it is time to build them, which takes a tenth of the time at most.
with under_way as (
    select is_live, is_history from raw.dbt_under_way
    where seen_at > clock_timestamp() - make_interval(secs => :lease_seconds)
), facts as (
    select raw.live_as_of() as as_of
), history as (
    select coalesce(bool_or(facts.as_of > coalesce(built.as_of, '-infinity')), false) as is_behind
    from unnest(cast(:history_marts as text[])) as mart
    left join ops.history_marts as built using (mart)
    cross join facts
), last_history as (
    select finished_at, case status when 'succeeded' then finished_at - started_at else interval '0' end as took
    from raw.dbt_runs
    where is_history and not is_live and status <> 'running'
    order by run_id desc limit 1
)
select
    (select count(distinct sale_date) from raw.rebuild_queue) as dates,
    exists (select from under_way where is_live) as is_busy,
    exists (select from under_way where is_history) as is_busy_with_history,
    history.is_behind,
    history.is_behind and not exists (select from under_way where is_history) and clock_timestamp() > greatest(
        coalesce(last_history.finished_at, facts.as_of) + make_interval(secs => :history_seconds),
        last_history.finished_at + 9 * last_history.took
    ) as is_due
from history
cross join facts
left join last_history on true;

-- name: prove_writes
-- Fails where PostgreSQL takes no writes, before dbt says so of each of its nodes.
select queue_id from raw.rebuild_queue limit 1 for update skip locked;

-- name: definitions
-- The tables and views that there are, the project that they were built of, and whether a run has begun since, which may
-- have replaced some. `last_run`: the last run that may have.
select
    (select digest from raw.dbt_project) as digest,
    coalesce((select is_touched from raw.dbt_project), true) as is_touched,
    (select coalesce(max(run_id), 0) from raw.dbt_runs where is_live) as last_run,
    array(
        select schemaname || '.' || relname from (
            select schemaname, tablename as relname from pg_tables
            union all
            select schemaname, viewname from pg_views
        ) as relations
        where schemaname in ('staging', 'core', 'kpi', 'ops')
    ) as relations;

-- name: definitions_are_built
-- Unless another run has come between, which may have replaced some.
insert into raw.dbt_project (digest)
select :digest
where not exists (
    select from raw.dbt_runs
    where is_live and run_id > :last_run and invocation_id is distinct from :invocation_id
)
on conflict (is_one) do update set digest = excluded.digest, is_touched = false;

-- name: finished_run
select run_id, dates, files, mart_version from raw.dbt_runs where invocation_id = :invocation_id;

-- name: record_tests
-- A run of no dates: it publishes nothing, and says nothing about what is published.
insert into raw.dbt_runs (status, started_at, finished_at, dates, files, nodes, error)
values (:status, :started_at, clock_timestamp(), 0, 0, cast(:nodes as jsonb), :error);
