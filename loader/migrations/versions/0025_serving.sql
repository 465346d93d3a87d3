-- History that Spark has modelled: `loader serve` brings its marts into the schema `served`, and the models put them before
-- those of the live window, which PostgreSQL builds of its own lines.
do $$
begin
    if to_regnamespace('served') is null then
        create schema served authorization transformer;
    end if;
end
$$;

create table if not exists ops.seam (
    is_one boolean primary key default true check (is_one), -- prevents a second seam
    -- Prevents a month of which both halves would have to be counted.
    live_since date not null constraint seam_is_a_month check (extract(day from live_since) = 1),
    lake text not null,
    served_at timestamptz not null default now()
);
comment on column ops.seam.is_one is 'Always true: there is one seam.';
comment on column ops.seam.live_since is 'The first date whose marts are built here, of lines that are here; earlier ones were brought.';
comment on column ops.seam.lake is 'Where the lines of the earlier dates are.';
comment on column ops.seam.served_at is 'When the history was brought.';
grant select on ops.seam to dashboard_viewer, analyst, loader;
grant select, insert, update, delete on ops.seam to transformer;

-- The first date of the live window; without a seam, everything is in it.
create or replace function raw.live_since() returns date
language sql stable security definer set search_path = pg_catalog as $$
    select coalesce((select live_since from ops.seam), '-infinity'::date)
$$;
grant execute on function raw.live_since() to loader, transformer;

-- Arrivals of earlier dates wait in the queue until they are served: no run claims them, nor takes them for rebuilt.
create or replace function raw.affected_dates() returns date[]
language sql stable as $$
    with running as (
        select max(run_id) as run_id from raw.dbt_runs where status = 'running' and is_live
    )
    select coalesce(array_agg(distinct queue.sale_date), array[]::date[])
    from raw.rebuild_queue as queue
    cross join running
    where
        (running.run_id is null or queue.run_id = running.run_id)
        and queue.sale_date >= raw.live_since()
$$;

create or replace function raw.begin_run(
    invocation text, started_by text, lease_seconds double precision, wait_seconds double precision,
    is_live boolean, is_history boolean
) returns bigint
language plpgsql security definer set search_path = pg_catalog as $$
declare
    claimed bigint;
    other record;
    before bigint;
    unheard_since timestamptz;
    deadline timestamptz := clock_timestamp() + make_interval(secs => wait_seconds);
begin
    loop
        insert into raw.dbt_runs (invocation_id, started_by, dates, files, is_live, is_history, as_of)
        values (invocation, started_by, 0, 0, begin_run.is_live, begin_run.is_history, raw.live_as_of())
        on conflict do nothing
        returning run_id into claimed;
        exit when claimed is not null;
        select * into other
        from raw.dbt_under_way as run
        where (run.is_live and begin_run.is_live) or (run.is_history and begin_run.is_history)
        order by run.run_id
        limit 1;
        continue when not found;
        unheard_since := case
            when other.seen_at is not null then null
            when other.run_id = before then coalesce(unheard_since, clock_timestamp())
            else clock_timestamp()
        end;
        before := other.run_id;
        if other.seen_at < clock_timestamp() - make_interval(secs => lease_seconds)
            or unheard_since < clock_timestamp() - interval '10 seconds'
        then
            perform ops.end_sessions_of_run(other.invocation_id);
            update raw.dbt_runs
            set
                status = 'failed', finished_at = clock_timestamp(),
                error = format('dbt stopped during the run, or stood still; taken over by %s', begin_run.started_by)
            where run_id = other.run_id and status = 'running';
        elsif clock_timestamp() > deadline then
            raise exception 'another dbt run is under way: %, since %. Wait for its end, or end it; nothing has changed',
                coalesce(other.started_by, 'an earlier version of the loader'), to_char(other.started_at, 'HH24:MI:SS');
        else
            perform pg_sleep(0.05);
        end if;
    end loop;
    if begin_run.is_live then
        update raw.dbt_project set is_touched = true;
        update raw.rebuild_queue set run_id = claimed where sale_date >= raw.live_since();
        update raw.dbt_runs as runs
        set dates = waiting.dates, files = waiting.files
        from (
            select count(distinct sale_date) as dates, count(distinct file_id) as files from raw.rebuild_queue
            where run_id = claimed
        ) as waiting
        where runs.run_id = claimed;
    end if;
    return claimed;
end
$$;

create or replace function raw.finish_run(
    invocation text, problem text, results jsonb, changed boolean, complete boolean, history text[]
) returns void
language plpgsql security definer set search_path = pg_catalog as $$
declare
    run record;
    version bigint;
begin
    update raw.dbt_runs
    set
        status = case when problem is null then 'succeeded' else 'failed' end,
        finished_at = clock_timestamp(), nodes = results, error = problem
    where invocation_id = invocation and status = 'running'
    returning run_id, is_live, as_of into run;
    if run is null then
        raise exception 'this run of dbt gave no sign of life, and another one has taken over: nothing was published';
    end if;
    if problem is null and complete and run.is_live then
        update raw.files set modelled_at = clock_timestamp()
        where status = 'loaded' and file_id in (select file_id from raw.rebuild_queue where run_id = run.run_id)
            and file_id not in (select file_id from raw.rebuild_queue where sale_date < raw.live_since());
        delete from raw.rebuild_queue where run_id = run.run_id;
    end if;
    if problem is null and changed and (exists (select from raw.sales_lines) or exists (select from ops.seam)) then
        update ops.mart_version set mart_version = mart_version + 1, published_at = clock_timestamp()
        returning mart_version into version;
        update raw.dbt_runs set mart_version = version where run_id = run.run_id;
        perform pg_notify('mart_version', version::text);
    end if;
    if problem is null then
        insert into ops.history_marts (mart, as_of)
        select built.mart, facts.as_of
        from unnest(history) as built (mart)
        cross join (select case when run.is_live then raw.live_as_of() else run.as_of end as as_of) as facts
        where facts.as_of is not null
        on conflict (mart) do update set as_of = excluded.as_of;
    end if;
end
$$;

-- The lake has these files, by bucket, key, ETag and size, and its marts before the seam are in `served`: their dates
-- before it wait no more.
create or replace function raw.acknowledge_served(lake_files jsonb) returns bigint
language plpgsql security definer set search_path = pg_catalog as $$
declare
    acknowledged bigint;
begin
    with known as (
        select files.file_id
        from raw.files
        inner join jsonb_to_recordset(lake_files) as lake (bucket text, key text, etag text, size_bytes bigint)
            on lake.bucket = files.bucket and lake.key = files.key
            and lake.etag = files.etag and lake.size_bytes = files.size_bytes
    ), gone as (
        delete from raw.rebuild_queue
        where sale_date < raw.live_since() and file_id in (select file_id from known)
        returning file_id
    ), modelled as (
        update raw.files set modelled_at = clock_timestamp()
        where
            status = 'loaded' and file_id in (select file_id from gone)
            and file_id not in (select file_id from raw.rebuild_queue where sale_date >= raw.live_since())
    )
    select count(*) into acknowledged from gone;
    return acknowledged;
end
$$;
revoke execute on function raw.acknowledge_served(jsonb) from public;
grant execute on function raw.acknowledge_served(jsonb) to transformer;

-- As before, but dates before the seam wait for nobody here: that is a problem of its own.
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
    from raw.rebuild_queue where sale_date >= raw.live_since()
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
from without_headers
union all
select
    'history to serve', 'amber', null, min(enqueued_at),
    case count(distinct sale_date) when 1 then '1 date to serve' else count(distinct sale_date) || ' dates to serve' end,
    format('Sheets have come with sales before %s, where history begins that is not worked on here: the figures lack them.',
        raw.live_since()),
    '`loader backfill` on those sheets, then `loader serve`'
from raw.rebuild_queue
where sale_date < raw.live_since()
having count(*) > 0;
