drop function ops.publish_marts();

-- What the run has built so far takes its place, for the transaction that will publish it and for nobody else: so the
-- first facts are in place while the last marts are still being built. Their tables in `next` stay, which these read.
create function ops.put_in_place() returns void
language plpgsql security definer set search_path = pg_catalog as $$
declare
    each record;
begin
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
-- dbt waits behind who asks for a whole table while the marts of a run are put in place, and that one for the run to end:
-- PostgreSQL sees no deadlock there. The run then fails, gives way, and is repeated.
alter role transformer set lock_timeout = '1min';
