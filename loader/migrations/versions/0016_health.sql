-- Which processes are up: each says so every few seconds, and takes its row away when it ends in order.
create table if not exists raw.heartbeats (
    process text not null check (process in ('loader', 'watcher', 'dbt worker')),
    instance text not null, -- host and process id
    started_at timestamptz not null default clock_timestamp(),
    seen_at timestamptz not null default clock_timestamp(),
    primary key (process, instance)
);

-- What the watcher found at its last look: objects of the bucket of which the ledger has nothing.
create table if not exists raw.bucket_looks (
    bucket text primary key,
    unseen_objects bigint not null,
    unseen_since timestamptz, -- when the oldest of them was written; null: there is none
    looked_at timestamptz not null
);
grant select, insert, update, delete on raw.heartbeats, raw.bucket_looks to loader;

-- Serve ops.problems: of a ledger of years it reads what is bad or odd, and whether something good came after.
create index if not exists files_bad on raw.files (event_at) where status in ('rejected', 'failed');
create index if not exists files_good on raw.files (feed, event_at) where status = 'loaded';
create index if not exists files_odd on raw.files (loaded_at) where warning is not null;

-- What waits in the bucket and is not in the ledger. What the ledger has got since the last look was among it.
create or replace view ops.bucket as
with looks as (
    select
        look.unseen_since,
        greatest(look.unseen_objects - (
            select count(*) from raw.files as files
            where files.bucket = look.bucket and files.received_at > look.looked_at
        ), 0) as unseen_objects
    from raw.bucket_looks as look
)
select
    coalesce(sum(unseen_objects), 0)::bigint as unseen_objects,
    min(unseen_since) filter (where unseen_objects > 0) as unseen_since
from looks;

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
from odd_sheets;

comment on column ops.bucket.unseen_objects is 'Objects of the bucket of which the ledger has nothing.';
comment on column ops.bucket.unseen_since is 'Since when there have been some at every look of the watcher.';
comment on column ops.problems.problem is 'What is wrong, in a word: what an alert goes by.';
comment on column ops.problems.severity is 'red where figures lack sales or will not get them, amber where they may come to.';
comment on column ops.problems.subject is 'The feed or the process that it is about.';
comment on column ops.problems.since is 'Since when it has been so; null where that is not known.';
comment on column ops.problems.title is 'As short as a badge has room for.';
comment on column ops.problems.sentence is 'What it means for those who read figures.';
comment on column ops.problems.remedy is 'What those who run the pipeline can do.';

grant select on ops.bucket, ops.problems to dashboard_viewer, loader;
