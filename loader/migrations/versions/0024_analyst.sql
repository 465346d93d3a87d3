-- A login for people with a SQL client or a BI tool. An administrator gives it a password (docker-compose.yml and the local
-- stack do); here it only has to exist, so that grants can name it.
do $$
begin
    if not exists (select from pg_roles where rolname = 'analyst') then
        create role analyst;
    end if;
    execute format('grant connect on database %I to analyst', current_database());
end
$$;
-- It reads all of core, kpi and ops, customers and rejected rows included. The models of kpi and ops name it among their
-- readers (`grants` in dbt_sales); core, which nobody else reads, has no such list.
grant usage on schema core, kpi, ops to analyst;
grant select on all tables in schema core, kpi, ops to analyst;
alter default privileges for role transformer in schema core grant select on tables to analyst;

alter role analyst set default_transaction_read_only = on;
alter role analyst set search_path = kpi, core, ops; -- so that a client finds `kpi_daily_sales` without its schema
-- A mart that is built anew cannot take the place of one that somebody reads: a forgotten session would hold it up.
alter role analyst set statement_timeout = '60s';
alter role analyst set idle_in_transaction_session_timeout = '60s';
