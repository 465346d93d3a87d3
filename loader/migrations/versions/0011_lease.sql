-- Whose turn it is to rebuild the marts. An advisory lock can be taken by every login that may connect, and is kept by a
-- worker that hangs; this row is written by the loader's login alone, and lapses.
create table if not exists raw.transform_lease (
    singleton boolean primary key default true check (singleton), -- prevents a second worker at the same time
    holder uuid,               -- the worker; null: it has given the lease back
    host text,                 -- of its process
    pid integer,               -- of the session in which it publishes, which the next column tells from later ones
    backend_start timestamptz,
    taken_at timestamptz,
    seen_at timestamptz,       -- its last sign of life
    expires_at timestamptz     -- another worker may take over from then on
);
insert into raw.transform_lease default values on conflict do nothing;
grant select, update on raw.transform_lease to loader;
grant select on raw.transform_lease to transformer;

-- The sessions of dbt that a worker has left or, woken up, goes on with after another one took over. A worker calls its
-- sessions by its own name; a dbt in a shell has another, and is left alone.
create or replace function ops.end_dbt_of_others(holder uuid) returns bigint
language sql security definer set search_path = pg_catalog as $$
    with others as materialized (
        select pid from pg_stat_activity
        where
            datname = current_database() and usename = current_user
            and application_name like 'dbt of %' and application_name <> 'dbt of ' || holder
    )
    select count(*) filter (where pg_terminate_backend(pid, 10000)) from others
$$;
revoke execute on function ops.end_dbt_of_others(uuid) from public;
grant execute on function ops.end_dbt_of_others(uuid) to loader;
-- Nobody but the login of these sessions may end them.
alter function ops.end_dbt_of_others(uuid) owner to transformer;
