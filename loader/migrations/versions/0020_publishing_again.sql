-- A table that was built anew takes the place of the published one. What depends on that, its readers too, stays.
create or replace function ops.exchange(published regclass, built regclass) returns void
language plpgsql set search_path = pg_catalog as $$
declare
    target name := (select relnamespace::regnamespace::text from pg_class where oid = published);
    each record;
    views text[];
begin
    -- From here on no other run puts a view in the place of one that is listed below.
    execute format('lock table %s in access exclusive mode', published);
    views := array(
        select distinct format('create or replace view %s as %s', view.oid::regclass, pg_get_viewdef(view.oid))
        from pg_depend
        join pg_rewrite on pg_depend.classid = 'pg_rewrite'::regclass and pg_rewrite.oid = pg_depend.objid
        join pg_class as view on view.oid = pg_rewrite.ev_class
        where pg_depend.refclassid = 'pg_class'::regclass and pg_depend.refobjid = published and view.relkind = 'v'
    );
    for each in
        select grantee::regrole as reader, privilege_type as privilege
        from pg_class, aclexplode(relacl)
        where oid = published and grantee not in (0, relowner)
    loop
        execute format('grant %s on %s to %s', each.privilege, built, each.reader);
    end loop;
    -- Names of indexes are unique within a schema.
    for each in select indexrelid::regclass as index from pg_index where indrelid = published loop
        execute format('alter index %s rename to %I', each.index, 'replaced_' || each.index::oid);
    end loop;
    execute format('alter table %s rename to %I', published, 'replaced_' || published::oid);
    execute format('alter table %s set schema %I', built, target);
    for each in select unnest(views) as statement loop
        execute each.statement;
    end loop;
    execute format('drop table %I.%I', target, 'replaced_' || published::oid);
end
$$;

-- Tables are exchanged one after the other. Whoever has read one that is still to come, and asks for one that is exchanged
-- already, waits for the publication while it waits for them: PostgreSQL ends one of the two. What was built is still
-- there, so that it is published a moment later. So it is where another run drops the view that it has replaced, while its
-- text is read here: PostgreSQL could not open it, or has no such table.
create or replace function ops.publish(next text) returns void
language plpgsql set search_path = pg_catalog as $$
declare
    each record;
begin
    for attempt in 1 .. 5 loop
        begin
            for each in
                execute format('select statement from %I.built where statement <> %L order by relation', next, '')
            loop
                execute each.statement;
            end loop;
            return;
        -- What was locked and done since `begin` is undone.
        exception when deadlock_detected or internal_error or undefined_table then
            if attempt = 5 then
                raise;
            end if;
        end;
    end loop;
end
$$;
