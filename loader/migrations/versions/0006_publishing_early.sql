drop function ops.publish_marts();

-- What the run has built so far takes its place, for the transaction that will publish it and for nobody else: so the
-- first facts are in place while the last marts are still being built. Their tables in `next` stay, which these read.
create function ops.put_in_place() returns void
language plpgsql security definer set search_path = pg_catalog as $$
declare
    each record;
begin
    -- The transaction waits for dbt, whatever a server allows others. Of one that it waits for it gives way to in turn:
    -- who asks for a whole table meanwhile waits for it, and dbt behind that one, which PostgreSQL sees no deadlock in.
    perform set_config('idle_in_transaction_session_timeout', '0', true), set_config('lock_timeout', '10s', true);
    for each in delete from ops.replacements returning statement loop
        execute each.statement;
    end loop;
end
$$;

-- All facts and marts change in one moment, in the transaction that acknowledges the run: a reader never sees two states
-- mixed.
create function ops.publish_marts() returns void
language plpgsql security definer set search_path = pg_catalog as $$
declare
    built name;
begin
    perform ops.put_in_place();
    for built in select tablename from pg_tables where schemaname = 'next' loop
        execute format('drop table next.%I', built);
    end loop;
end
$$;
revoke execute on function ops.put_in_place(), ops.publish_marts() from public;
grant execute on function ops.put_in_place(), ops.publish_marts() to loader;
-- They write next, core and kpi, which nobody else does.
alter function ops.put_in_place() owner to transformer;
alter function ops.publish_marts() owner to transformer;
-- The pages of the dashboard look when they are told to. What ends without a change of the marts was told nobody.
create function raw.tell_pages() returns trigger
language plpgsql as $$
begin
    perform pg_notify('pipeline', '');
    return null;
end
$$;
create trigger tell_pages after insert or update of status on raw.files
for each row when (new.status not in ('discovered', 'loading', 'loaded')) execute function raw.tell_pages();
create trigger tell_pages after update of status on raw.dbt_runs
for each row when (new.status = 'failed') execute function raw.tell_pages();

-- A mart that is there already gets the index that dbt gives a new one.
do $$
begin
    if to_regclass('kpi.kpi_monthly_product_pairs') is not null then
        create index on kpi.kpi_monthly_product_pairs (month) where orders >= 3;
    end if;
end
$$;
