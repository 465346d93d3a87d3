-- The load of one file, from its entry in the ledger to the rows that count.

-- name: pairs_of_key
-- The feeds of order headers to which the rows of a key belong that count.
select distinct coalesce(order_headers, feed) as pair from raw.files
where bucket = :bucket and key = :key and status = 'loaded' and (order_headers is not null or kind = 'order_headers');

-- name: discover
-- Finds or makes the ledger entry of an object's version, and counts the event that named it.
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

-- name: replaced
-- Versions that waited while an older one, with which the ledger had dealt, came back into the bucket: nobody can load
-- them any more.
update raw.files
set status = 'source_gone', error = 'the object was replaced before it was loaded', next_attempt_at = null
where
    bucket = :bucket and key = :key and file_id <> :file_id and status in ('discovered', 'loading', 'failed');

-- name: ignore
-- Records that nobody will load this version: no feed matches its key, or the key is outside S3_PREFIX.
update raw.files set status = 'ignored', error = :error, next_attempt_at = null where file_id = :file_id;

-- name: set_aside
-- Records that this version is not loaded, because its feed keeps the first version of a key.
update raw.files set status = 'skipped', error = :error, next_attempt_at = null where file_id = :file_id;

-- name: start_loading
-- Records that a loader reads this version now, and by which contract.
update raw.files
set
    status = 'loading', feed = :feed, kind = :kind, order_headers = :order_headers, shares = :shares,
    timezone = :timezone, times = :times, attempts = attempts + 1, loading_at = clock_timestamp(), error = null,
    next_attempt_at = null
where file_id = :file_id;

-- name: clear_rejected_rows
-- Deletes the report that an earlier attempt at the same version may have left.
delete from raw.rejected_rows where file_id = :file_id;

-- name: remove_lines
-- Deletes the rows of a version, with those that were corrected by hand, and returns their dates, which have to be
-- rebuilt. Items whose header was in this version wait again: the feeds of their orders are returned too.
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
select sale_date, null as orders from removed
union
select sale_date, null from undated
union
select null, files.order_headers from left_alone inner join raw.files on files.file_id = left_alone.file_id;

-- name: current_versions
-- The other versions of the key that count: at most one, or more where its feed says that uploads add up.
select file_id, sha256 from raw.files
where bucket = :bucket and key = :key and status = 'loaded' and file_id <> :file_id
order by file_id;

-- name: supersede
-- Everything that was known of the key gives way: the version that counted, its identical twins, rejected and failed
-- versions. Versions that a person set aside stay so.
update raw.files set status = 'superseded', superseded_by = :file_id, next_attempt_at = null
where
    bucket = :bucket and key = :key and file_id <> :file_id
    and status not in ('superseded', 'ignored', 'skipped', 'withdrawn')
    and (:reupload <> 'append' or status not in ('loaded', 'unchanged'));

-- name: undate_items
-- Takes items away from their header where this sheet says something else about the order. They wait until `date_items`
-- has decided which of the two counts. A sheet that repeats what is known moves nothing. Returns the dates of their
-- lines.
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

-- name: clear_contradictions
-- Items that wait are rejected no longer: the order that contradicted them has gone, or says something else.
with cleared as (
    delete from raw.rejected_rows as rejected
    using raw.sales_items as item, raw.files as sheet
    where
        sheet.order_headers = any(cast(:orders as text[]))
        and item.file_id = sheet.file_id
        and item.header_file_id is null
        and item.signed is not null
        and rejected.file_id = item.file_id
        and rejected.row_number = item.row_number
    returning rejected.file_id
)
update raw.files
set rows_loaded = rows_loaded + cleared.rows, rows_rejected = rows_rejected - cleared.rows
from (select file_id, count(*) as rows from cleared group by file_id) as cleared
where files.file_id = cleared.file_id;

-- name: date_items
-- Makes lines of items that wait, if their headers are there: the items of this sheet, and of all sheets whose orders one
-- of these feeds has. Of several headers, the one whose sheet was written into the bucket last counts, whatever the order
-- of loading. An item's own value counts before that of its order. A cancelled order has neither sales nor returns. An
-- item with an amount whose sign is none of its order's currency becomes a rejected row, not a line, for as long as its
-- order says so. Returns the dates of the new lines, and how many rows of this sheet were rejected.
with found as (
    select distinct on (item.file_id, item.row_number)
        item.file_id,
        item.row_number,
        header.file_id as header_file_id,
        header.row_number as header_row
    from raw.files as sheet
    inner join raw.sales_items as item on item.file_id = sheet.file_id and item.header_file_id is null
    inner join raw.order_headers as header on header.sale_id = item.sale_id
    inner join raw.files as header_sheet
        on header_sheet.file_id = header.file_id and header_sheet.feed = sheet.order_headers
    where sheet.file_id = :file_id or sheet.order_headers = any(cast(:orders as text[]))
    order by
        item.file_id, item.row_number, header_sheet.event_at desc, header.file_id desc, header.row_number desc
), matched as (
    update raw.sales_items as item
    set header_file_id = found.header_file_id, header_row = found.header_row, waits_since = null
    from found
    where item.file_id = found.file_id and item.row_number = found.row_number
    returning item.*
), contradicted as (
    select
        item.file_id, item.row_number, item.source_line, item.signed,
        jsonb_agg(jsonb_build_object(
            'field', amount.field, 'value', amount.value,
            'message', format('The sign %s is not one of %s, the currency of its order', amount.sign, header.currency)
        )) as errors
    from matched as item
    inner join raw.order_headers as header
        on header.file_id = item.header_file_id and header.row_number = item.header_row
    cross join lateral jsonb_to_recordset(item.signed -> 'amounts') as amount (field text, sign text, value text)
    where
        item.signed is not null
        and header.currency <> 'XXX'
        and not cast(:signs as jsonb) -> amount.sign @> to_jsonb(header.currency)
    group by item.file_id, item.row_number, item.source_line, item.signed
), rejected as (
    insert into raw.rejected_rows (file_id, row_number, source_line, raw_text, errors, revenue_at_risk)
    select
        file_id, row_number, source_line, signed ->> 'raw_text', errors, cast(signed ->> 'revenue_at_risk' as numeric)
    from contradicted
    returning file_id
), counted as (
    update raw.files
    set rows_loaded = rows_loaded - rejected.rows, rows_rejected = rows_rejected + rejected.rows
    from (select file_id, count(*) as rows from rejected group by file_id) as rejected
    where files.file_id = rejected.file_id
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
    where not exists (
        select from contradicted
        where contradicted.file_id = item.file_id and contradicted.row_number = item.row_number
    )
    returning sale_date
)
select distinct sale_date, 0 as rejected from dated
union all
select null, count(*) from rejected where file_id = :file_id having count(*) > 0;

-- name: emptied_dates
-- The dates among these on which no file has a line any more.
select removed.sale_date from unnest(cast(:dates as date[])) as removed (sale_date)
left join lateral (
    select true as is_there from raw.sales_lines as line where line.sale_date = removed.sale_date limit 1
) as line on true
where line.is_there is null
order by removed.sale_date;

-- name: describe
-- Records how the file was read: encoding, header, drift, and the profile of its cells.
update raw.files
set
    compression = :compression, encoding = :encoding, encoding_guessed = :encoding_guessed,
    header = cast(:header as text[]), drift = cast(:drift as jsonb), profile = cast(:profile as jsonb)
where file_id = :file_id;

-- name: enqueue_dates
-- Runs at the end of a transaction that changes rows of these dates: a date that waits already is locked until the
-- commit, so that no run of dbt claims it before it can see the change.
insert into raw.rebuild_queue (sale_date, file_id)
select unnest(cast(:dates as date[])), :file_id
on conflict (sale_date, file_id) where run_id is null do update set file_id = excluded.file_id;

-- name: finish
-- Ends the load of a version. A file that changes no date is modelled at once: it has nothing to wait for.
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

-- name: notify_queue
-- Wakes the dbt worker at the commit of this transaction.
select pg_notify('rebuild_queue', '');

-- name: fail
-- Sets the versions of a key aside after the last attempt; the watcher announces them again from `next_attempt_at` on.
update raw.files
set status = 'failed', error = :error, next_attempt_at = clock_timestamp() + make_interval(secs => :seconds)
where bucket = :bucket and key = :key and status in ('discovered', 'loading', 'failed');

-- name: source_gone
-- Records that a load found no object: the versions that waited for it wait no longer.
update raw.files set status = 'source_gone', error = :error, next_attempt_at = null
where bucket = :bucket and key = :key and status in ('discovered', 'loading', 'failed')
returning file_id;

-- name: unsettled
-- The keys among these whose removal from the bucket would change the ledger: a version waits for the object (`waits`),
-- or its rows count and nothing says yet that the object is gone.
select key, bool_or(status <> 'loaded') as waits from raw.files
where
    bucket = :bucket and key = any(:keys)
    and (status in ('discovered', 'loading', 'failed') or status = 'loaded' and source_gone_at is null)
group by key;

-- name: mark_removed
-- The object was deleted. Rows of a loaded version go on counting; a version that was not loaded yet never will be.
update raw.files
set
    source_gone_at = coalesce(source_gone_at, clock_timestamp()),
    error = case when status = 'loaded' then error else 'the object was deleted before it was loaded' end,
    status = case when status = 'loaded' then status else 'source_gone' end,
    next_attempt_at = null
where bucket = :bucket and key = :key and status in ('loaded', 'discovered', 'loading', 'failed')
returning file_id, status;
