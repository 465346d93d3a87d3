alter table raw.files add column if not exists kind text not null default 'lines'; -- what a row of it is, as its feed says
alter table raw.files add column if not exists order_headers text; -- the feed that has the orders of its items; null: none
alter table raw.files drop constraint if exists files_kind;
alter table raw.files add constraint files_kind check (
    kind = 'lines' or kind = 'order_headers' and order_headers is null
) not valid;
comment on constraint files_kind on raw.files is
'Prevents a sheet from being taken for another kind than the loader knows, and orders from waiting for orders.';
-- Finds the sheets whose items an order may be of.
create index if not exists files_order_headers on raw.files (order_headers) where order_headers is not null;

-- One row per accepted row of a current sheet of order headers: when, where and to whom an order was sold.
create table if not exists raw.order_headers (
    file_id bigint not null,
    row_number bigint not null,
    source_line bigint not null,
    sale_id text not null,
    sold_at timestamptz not null,
    sale_date date not null, -- local date of sold_at in the feed's time zone
    line_type text not null check (line_type in ('sale', 'return', 'cancellation', 'adjustment')),
    currency text,
    payment_method text,
    payment_status text,
    payment_date date,
    customer_id text,
    customer_name text,
    store_id text,
    sales_channel text,
    sales_region text,
    sales_representative text,
    delivery_status text,
    delivery_date date,
    extra jsonb,             -- cells of columns that the feed does not know, by header
    -- Prevents a row of a file from being landed twice.
    primary key (file_id, row_number)
);
-- Finds the headers of an order.
create index if not exists order_headers_sale_id on raw.order_headers (sale_id);

-- One row per accepted row of a current sheet of order items, as it was landed. With its header it is a line of
-- raw.sales_lines, under the same file and row; without one it waits.
create table if not exists raw.sales_items (
    like raw.sales_lines including constraints,
    header_file_id bigint,
    header_row bigint,
    waits_since timestamptz default clock_timestamp(), -- null: it has its header
    -- Prevents a row of a file from being landed twice.
    primary key (file_id, row_number),
    -- Prevents a line from being of an order that no sheet has any more.
    constraint sales_items_header foreign key (header_file_id, header_row) references raw.order_headers match full,
    -- Prevents an item from being forgotten: it waits, and is seen to, or has its header.
    constraint sales_items_wait check ((header_file_id is null) <> (waits_since is null))
);
alter table raw.sales_items drop column if exists sold_at;
alter table raw.sales_items drop column if exists sale_date;
alter table raw.sales_items alter column line_type set not null;
alter table raw.sales_items alter column currency drop not null;
-- Finds the items of a header that goes or is corrected.
create index if not exists sales_items_header on raw.sales_items (header_file_id, header_row)
where header_file_id is not null;
-- Finds what waits.
create index if not exists sales_items_waiting on raw.sales_items (file_id, waits_since) where header_file_id is null;

create or replace view raw.waiting_items as
select
    file_id,
    count(*) as rows,
    min(waits_since) as since,
    min(sale_id) as example -- an order that has not come
from raw.sales_items
where header_file_id is null
group by file_id;

grant select, insert, update, delete on raw.order_headers, raw.sales_items to loader;
grant select on raw.waiting_items to loader, transformer;

-- Everything that is wrong, a row each, whoever asks: the dashboard, `loader status`, Prometheus. `severity`: `red` where
-- figures lack sales or will not get them, `amber` where they may come to. No time stands in `sentence`: it is the same
-- sentence until something changes, and who shows it knows the reader's clock.
create or replace view ops.problems as
with bad_sheets as (
    select
        bad.feed,
        count(*) as files,
        min(bad.event_at) as since
    from raw.files as bad
    where
        bad.status in ('rejected', 'failed')
        and not exists (
            select from raw.files as good
            where good.status = 'loaded' and good.feed = bad.feed and good.event_at > bad.event_at
        )
    group by bad.feed
), arrivals as (
    select
        feed,
        event_at,
        event_at - lag(event_at) over (partition by feed order by event_at) as pause,
        event_at::date is distinct from lag(event_at::date) over (partition by feed order by event_at) as begins_a_day
    from raw.files
    where received_at > now() - interval '60 days' and event_at > now() - interval '60 days' and feed is not null
), rhythms as (
    -- The pauses between its days of arrival: a day of many sheets is one arrival. One pause in ten may be longer.
    select
        feed,
        percentile_disc(0.9) within group (order by pause) filter (where begins_a_day) as pause
    from arrivals
    group by feed
    having count(*) filter (where begins_a_day) >= 5
), late_feeds as (
    select rhythms.feed, last_arrival.event_at as since
    from rhythms
    cross join lateral (select max(arrivals.event_at) as event_at from arrivals where arrivals.feed = rhythms.feed)
        as last_arrival
    where now() > last_arrival.event_at + rhythms.pause * 1.25
), waiting as (
    -- Since when there has been something to do for a process, and when work on such last began.
    select
        'loader' as process,
        least(
            (select unseen_since from ops.bucket),
            (select min(received_at) from raw.files where status in ('discovered', 'loading'))
        ) as since,
        (select max(loading_at) from raw.files where received_at > now() - interval '7 days') as last_begun_at
    union all
    select 'dbt worker', min(enqueued_at), (select max(started_at) from raw.dbt_runs where dates > 0)
    from raw.rebuild_queue
    union all
    select 'watcher', null, null -- what it would find, nobody knows
), processes as (
    select
        waiting.process,
        waiting.since as waiting_since,
        greatest(waiting.since, waiting.last_begun_at) as still_since,
        beats.seen_at,
        coalesce(beats.seen_at > now() - interval '30 seconds', false) as is_up,
        coalesce(waiting.since < now() - interval '30 seconds', false) as is_needed
    from waiting
    left join lateral (
        select max(heartbeat.seen_at) as seen_at from raw.heartbeats as heartbeat
        where heartbeat.process = waiting.process
    ) as beats on true
), standing_still as (
    select * from processes
    where waiting_since is not null and still_since < now() - interval '5 minutes'
), down as (
    -- One that ended in order is missed only where something waits for it. dbt may be run without a worker.
    select * from processes
    where
        not is_up and (is_needed or seen_at is not null)
        and not (process = 'dbt worker' and exists (select from raw.dbt_runs where status = 'running' and is_live))
        and process not in (select process from standing_still where process = 'dbt worker')
), last_run as (
    select status, finished_at from raw.dbt_runs
    where status <> 'running' and dates > 0 -- a run of no dates is one of tests, which publishes nothing
    order by run_id desc limit 1
), odd_sheets as (
    select count(*) as files, min(loaded_at) as since from raw.files
    where status = 'loaded' and warning is not null and loaded_at > now() - interval '7 days'
    having count(*) > 0
), without_headers as (
    -- The two sheets of a sale seldom arrive in the same minute.
    select
        files.feed,
        files.order_headers,
        count(*) as files,
        sum(waiting.rows) as rows,
        min(waiting.since) as since
    from raw.waiting_items as waiting
    inner join raw.files as files on files.file_id = waiting.file_id
    where waiting.since < now() - interval '15 minutes'
    group by files.feed, files.order_headers
)
select
    'sheets not loaded' as problem,
    'red' as severity,
    feed as subject,
    since,
    case files when 1 then '1 sheet not loaded' else files || ' sheets not loaded' end as title,
    format(
        case files
            when 1 then 'A sheet of %s was not loaded, and no later one has been: the figures lack it.'
            else 'Sheets of %s were not loaded, and no later one has been: the figures lack them.'
        end,
        coalesce('the feed ' || feed, 'an unknown feed')
    ) as sentence,
    '`loader files --status rejected` and `loader files --status failed` say why' as remedy
from bad_sheets
union all
select
    'late feed', 'amber', feed, since,
    feed || ' is late',
    format('No sheet of the feed %s has arrived for longer than is usual for it.', feed),
    format('ask who sends it; `loader files --feed %s` lists what has come', feed)
from late_feeds
union all
select
    'process down',
    case when is_needed then 'red' else 'amber' end,
    process,
    coalesce(seen_at, waiting_since),
    'No ' || process,
    case process
        when 'loader' then 'Nothing loads the sheets that arrive'
        when 'dbt worker' then 'Nothing works loaded sheets into the figures'
        else 'Nothing looks into the bucket for sheets that nobody has announced'
    end || case when is_needed then ', and some wait.' else '; none is known to wait.' end,
    case process
        when 'loader' then '`loader run`'
        when 'dbt worker' then '`loader transform`, or `loader run` without `--no-transform`'
        else '`loader watch`'
    end
from down
union all
select
    'standing still', 'red', process, still_since,
    case process when 'loader' then 'Waiting to be loaded' else 'Waiting for dbt' end,
    case process
        when 'loader' then 'Sheets have arrived, and none is being loaded.'
        else 'Loaded sheets are not being worked into the figures.'
    end,
    case process
        when 'loader' then 'the log of `loader run` says what it waits for; `loader status` says what is at hand'
        else 'no dbt worker is up, or one hangs, and another one would relieve it: `loader transform` starts one'
    end
from standing_still
where is_up or process = 'dbt worker'
union all
select
    'dbt run failed', 'red', null, finished_at,
    'dbt run failed',
    'The last calculation of the figures failed: they stay as they were before. It is repeated by itself.',
    '`loader status` and Pipeline & quality say what failed'
from last_run
where status = 'failed'
union all
select
    'odd sheets', 'amber', null, since,
    case files when 1 then '1 sheet to look at' else files || ' sheets to look at' end,
    'A sheet of the last seven days counts, and something about it is odd.',
    '`loader files` and Pipeline & quality say what'
from odd_sheets
union all
select
    'items without order', 'amber', feed, since,
    case rows when 1 then '1 line waits for its order' else rows || ' lines wait for their orders' end,
    format(
        case rows
            when 1 then '%s line of the feed %s is not in the figures, as no sheet of the feed %s has brought its order.'
            else '%s lines of the feed %s are not in the figures, as no sheet of the feed %s has brought their orders.'
        end,
        rows, feed, order_headers
    ),
    format('upload the sheet of %s that has them; `loader files --feed %s` names an order that is missing', order_headers, feed)
from without_headers;
