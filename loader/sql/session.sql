-- Questions of every session: is the schema migrated, and may this session have an object to itself?

-- name: revision_is_readable
-- Whether this login may ask which migrations have run. Databases before revision 0007 do not allow it.
select
    has_schema_privilege('public', 'usage')
    and coalesce(has_table_privilege(to_regclass('public.alembic_version'), 'select'), false);

-- name: revision
-- The newest migration that has run.
select version_num from public.alembic_version;

-- name: limit_lock_wait
-- Until the end of this transaction, a statement that waits longer than this for a lock fails.
select set_config('lock_timeout', :milliseconds, true);

-- name: lock_file
-- Lets one loader at a time work on an object. The lock belongs to the session: a loader that dies gives it back.
select pg_advisory_lock(hashtextextended(:bucket || '/' || :key, 0));

-- name: end_stalled_holder
-- Ends the session that holds the object's lock and has asked nothing of PostgreSQL for so long: its loader is stopped,
-- hung, or cut off. A session with a long statement is left alone; one whose COPY waits for data is not. The sessions
-- to end are a set of their own (`stalled`): of conditions side by side the planner checks the cheapest first, which is
-- the one that ends the session. Every login may take the lock. PostgreSQL neither shows what another login does nor
-- lets this one end it: `ended` is null then.
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
-- Gives the lock of `lock_file` back.
select pg_advisory_unlock(hashtextextended(:bucket || '/' || :key, 0));
