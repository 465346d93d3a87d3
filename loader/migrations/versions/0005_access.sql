-- Who may read what is decided here, and not by what a page shows. These roles log nobody in: the login `dashboard` has
-- no right of its own, and takes, for each query, the role of whom it asks for.
do $$
declare role_name text;
begin
    foreach role_name in array array[
        'dashboard_viewer',    -- totals: every mart without a customer in it, the ledger, dbt's results
        'dashboard_customers', -- also customers: their marts, and who bought in each order line
        'dashboard_rejects',   -- also rejected rows as they stand in the file
        'dashboard_full',      -- all of it
        'dashboard_writer'     -- saved views and alerts, and nothing else
    ] loop
        if not exists (select from pg_roles where rolname = role_name) then
            execute format('create role %I nologin', role_name);
        end if;
    end loop;
end
$$;
grant dashboard_viewer to dashboard_customers, dashboard_rejects;
grant dashboard_customers, dashboard_rejects to dashboard_full;
-- Without inheritance: a query that takes no role is refused.
grant dashboard_viewer, dashboard_customers, dashboard_rejects, dashboard_full, dashboard_writer to dashboard
    with inherit false, set true;

-- A new table or view is readable by nobody until its model says by whom (`grants` in dbt_sales), which dbt repeats
-- whenever it makes one anew.
alter default privileges for role transformer in schema kpi revoke select on tables from dashboard;
alter default privileges for role transformer in schema ops revoke select on tables from dashboard;
revoke all on all tables in schema kpi, ops from dashboard;
revoke usage on schema kpi, ops from dashboard;
grant usage on schema kpi, ops to dashboard_viewer;
grant select on ops.mart_version to dashboard_viewer;

-- What was built before this revision, as the models say it.
do $$
declare
    each record;
    reader text;
begin
    for each in
        select namespace.nspname as schema_name, class.relname as name, class.oid
        from pg_class as class
        inner join pg_namespace as namespace on namespace.oid = class.relnamespace
        where namespace.nspname in ('kpi', 'ops') and class.relkind in ('r', 'v')
            and class.relname not in ('mart_version', 'replacements')
    loop
        reader := case
            when each.name in ('kpi_customers', 'kpi_customer_rfm', 'kpi_rfm_cells', 'kpi_order_lines')
                then 'dashboard_customers'
            when each.name = 'ops_rejected_rows' then 'dashboard_rejects'
            else 'dashboard_viewer'
        end;
        execute format('grant select on %I.%I to %I', each.schema_name, each.name, reader);
        if each.name = 'kpi_order_lines' then
            execute (
                select format(
                    'grant select (%s) on kpi.kpi_order_lines to dashboard_viewer',
                    string_agg(quote_ident(attname), ', ')
                )
                from pg_attribute
                where attrelid = each.oid and attnum > 0 and attname not in ('customer_id', 'customer_name')
            );
        end if;
    end loop;
end
$$;

-- What the dashboard keeps.
create schema dashboard;
grant usage on schema dashboard to dashboard_viewer, dashboard_writer;

create table dashboard.saved_views (
    view_id bigint generated always as identity primary key,
    name text not null
        constraint saved_views_name unique -- prevents two views that a list cannot tell apart
        check (name = btrim(name) and length(name) between 1 and 80),
    page text not null check (page ~ '^[a-z_]{0,40}$'), -- prevents a view that leads anywhere but to a page of ours
    query text not null check (length(query) <= 2000),
    created_by text, -- null: somebody who had not signed in
    created_at timestamptz not null default now()
);

create table dashboard.alert_rules (
    rule_id bigint generated always as identity primary key,
    name text not null
        constraint alert_rules_name unique -- prevents two alerts that a message cannot tell apart
        check (name = btrim(name) and length(name) between 1 and 80),
    measure text not null,
    currency text not null,
    kept jsonb not null check (jsonb_typeof(kept) = 'object'), -- {"region": ["North"], ...}: of these sales only
    basis text not null check (basis in ('value', 'previous day', 'same weekday')),
    direction text not null check (direction in ('above', 'below')),
    threshold numeric not null, -- percent of a share or of a change, else in the measure's own unit
    finished_days boolean not null, -- only days that a later day has followed
    from_date date not null,        -- the newest day when the rule was made: days before it are the backtest's
    enabled boolean not null default true,
    webhook boolean not null,
    email boolean not null,
    created_by text,
    created_at timestamptz not null default now()
);

create table dashboard.alert_events (
    event_id bigint generated always as identity primary key,
    rule_id bigint not null references dashboard.alert_rules on delete cascade,
    sale_date date not null,
    mart_version bigint not null,
    value numeric not null,
    reference numeric, -- what a change is measured from
    fired_at timestamptz not null default now(),
    seen_at timestamptz,
    -- Prevents one breach from firing twice, however many processes evaluate and however often.
    constraint alert_events_once unique (rule_id, sale_date)
);

create table dashboard.alert_deliveries (
    event_id bigint not null references dashboard.alert_events on delete cascade,
    channel text not null check (channel in ('webhook', 'email')),
    attempts integer not null default 0,
    next_attempt_at timestamptz default now(), -- null: delivered, or given up
    delivered_at timestamptz,
    error text,
    primary key (event_id, channel)
);
-- Serve the bell and the deliveries that are due: what is open, and not all that ever was.
create index alert_events_open on dashboard.alert_events (fired_at) where seen_at is null;
create index alert_deliveries_due on dashboard.alert_deliveries (next_attempt_at) where next_attempt_at is not null;

grant select on all tables in schema dashboard to dashboard_viewer, dashboard_writer;
grant insert, delete on dashboard.saved_views to dashboard_writer;
grant insert, delete on dashboard.alert_rules to dashboard_writer;
grant update (enabled) on dashboard.alert_rules to dashboard_writer;
grant insert on dashboard.alert_events to dashboard_writer;
grant update (seen_at) on dashboard.alert_events to dashboard_writer;
grant insert, update on dashboard.alert_deliveries to dashboard_writer;

-- Measured: the plans of an arrival and of a page are short, so that compiling them (JIT) and the
-- default costs of random reads made a run 15 % slower.
alter role transformer set jit = off;
alter role transformer set work_mem = '32MB';
alter role transformer set random_page_cost = 1.1;
alter role dashboard set jit = off;
alter role dashboard set random_page_cost = 1.1;
