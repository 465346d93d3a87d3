-- Tables are exchanged one after the other. Whoever has read one that is still to come, and asks for one that is exchanged
-- already, waits for the publication while it waits for them: PostgreSQL ends one of the two. What was built is still
-- there, so that it is published a moment later.
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
        exception when deadlock_detected then -- what was locked and done since `begin` is undone
            if attempt = 5 then
                raise;
            end if;
        end;
    end loop;
end
$$;
