-- Roles. `loader` and `transformer` and `dashboard` are logins that an administrator gives passwords to
-- (docker-compose.yml and the local stack do); here they only have to exist so that grants can name them.
do $$
declare role_name text;
begin
    foreach role_name in array array['loader', 'transformer', 'dashboard'] loop
        if not exists (select from pg_roles where rolname = role_name) then
            execute format('create role %I', role_name);
        end if;
    end loop;
    execute format('grant connect on database %I to loader, dashboard', current_database());
    execute format('grant connect, create, temporary on database %I to transformer', current_database());
end
$$;

create schema raw;
create schema staging authorization transformer;
create schema core authorization transformer;
create schema kpi authorization transformer;
create schema kpi_next authorization transformer; -- what a run has built and not yet published
create schema ops authorization transformer;

-- The ledger: one row per file version ever seen.
create table raw.files (
    file_id bigint generated always as identity primary key,
    bucket text not null,
    key text not null,
    version_id text,
    etag text not null,
    size_bytes bigint not null check (size_bytes >= 0),
    -- Identity of the content behind a key: the version id of a versioned bucket, else ETag and size.
    version text generated always as (coalesce(version_id, etag || '-' || size_bytes)) stored not null,
    sha256 text,
    feed text,
    status text not null default 'discovered' check (status in (
        'discovered', 'loading', 'loaded', 'rejected', 'failed', 'superseded', 'unchanged', 'source_gone', 'ignored'
    )),
    attempts integer not null default 0,
    events integer not null default 1, -- messages received for this version; more than one is a duplicate or a replay
    rows_read bigint not null default 0,
    rows_loaded bigint not null default 0,
    rows_rejected bigint not null default 0,
    rows_skipped bigint not null default 0,
    error text,
    event_at timestamptz not null, -- when the object was written, as the notification or the listing says
    received_at timestamptz not null default now(),
    loading_at timestamptz,
    loaded_at timestamptz,
    modelled_at timestamptz,
    next_attempt_at timestamptz, -- a failed file is published again by the watcher from then on
    superseded_by bigint references raw.files,
    -- Prevents a second ledger row, and so a second load, of the same content: exactly once by constraint.
    constraint files_identity unique (bucket, key, version),
    -- Prevents a row from being dropped silently: every row read is loaded, rejected or skipped.
    constraint files_conservation check (rows_read = rows_loaded + rows_rejected + rows_skipped)
);
-- Prevents two versions of one object from counting at the same time.
create unique index files_one_current_version on raw.files (bucket, key) where status = 'loaded';
-- Serves the pipeline page and `loader files`: newest first.
create index files_received_at on raw.files (received_at desc);

-- One row per accepted CSV row of a current file version; a superseded version's rows are deleted with it.
create table raw.sales_lines (
    file_id bigint not null references raw.files,
    row_number bigint not null,  -- 1-based position among the file's data records
    source_line bigint not null, -- 1-based physical line in the file
    sale_id text not null,
    line_number integer,
    sold_at timestamptz not null,
    sale_date date not null,     -- local date of sold_at in the feed's time zone
    line_type text not null check (line_type in ('sale', 'return', 'cancellation', 'adjustment')),
    product_id text not null,
    product_name text,
    product_category text,
    quantity numeric not null,
    unit_price numeric not null,
    discount_rate numeric,
    discount_amount numeric,
    unit_cost numeric,
    tax_amount numeric,
    shipping_cost numeric,
    currency text not null,
    payment_method text,
    payment_status text,
    payment_date date,
    customer_id text,
    customer_name text,
    store_id text,
    sales_channel text,
    sales_region text,
    sales_representative text,
    customer_rating integer,
    delivery_status text,
    delivery_date date,
    stated_total numeric,
    stated_cost numeric,
    stated_profit numeric,
    extra jsonb,                 -- cells of columns that the feed does not know, by header
    -- Prevents a row of a file from being landed twice.
    primary key (file_id, row_number)
);
-- Serves the rebuild of whole dates: dbt reads exactly the affected dates.
create index sales_lines_sale_date on raw.sales_lines (sale_date);

-- One row per rejected CSV row, kept even when the whole file is rejected.
create table raw.rejected_rows (
    file_id bigint not null references raw.files,
    row_number bigint not null,
    source_line bigint not null,
    raw_text text not null,
    errors jsonb not null, -- [{"field": canonical name or null, "message": text, "value": text or null}, ...]
    revenue_at_risk numeric, -- quantity x unit price as far as both can be read
    rejected_at timestamptz not null default now(),
    primary key (file_id, row_number),
    -- Prevents a rejection without a reason.
    check (jsonb_array_length(errors) > 0)
);

-- One row per invocation of dbt by the worker.
create table raw.dbt_runs (
    run_id bigint generated always as identity primary key,
    status text not null default 'running' check (status in ('running', 'succeeded', 'failed')),
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    dates integer not null,
    files integer not null,
    nodes jsonb,  -- [{"node": unique_id, "status": text, "seconds": number, "failures": number or null, "message": text}, ...]
    error text,
    mart_version bigint -- the version this run published
);

-- One row per (date, file) to rebuild. Acknowledged (deleted) when the run that claimed it succeeded.
create table raw.rebuild_queue (
    queue_id bigint generated always as identity primary key,
    sale_date date not null,
    file_id bigint not null references raw.files,
    enqueued_at timestamptz not null default now(),
    run_id bigint references raw.dbt_runs
);
-- Prevents the same work from waiting twice; work that a run has already claimed may be asked for again.
create unique index rebuild_queue_pending on raw.rebuild_queue (sale_date, file_id) where run_id is null;

-- The number the dashboard watches: incremented by every successful dbt run.
create table ops.mart_version (
    singleton boolean primary key default true check (singleton), -- prevents a second row
    mart_version bigint not null,
    published_at timestamptz not null
);
insert into ops.mart_version (mart_version, published_at) values (0, now());

-- All marts change in one moment, in the transaction that acknowledges the run: a reader never sees two states mixed.
create function ops.publish_marts(run bigint) returns void
language plpgsql security definer set search_path = pg_catalog as $$
declare
    mart name;
    dates date[] := array(select distinct sale_date from raw.rebuild_queue where run_id = run);
begin
    for mart in select tablename from pg_tables where schemaname = 'kpi_next' loop
        execute format('delete from kpi.%I where sale_date = any($1)', mart) using dates;
        execute format('insert into kpi.%1$I select * from kpi_next.%1$I', mart);
        execute format('drop table kpi_next.%I', mart);
    end loop;
end
$$;
revoke execute on function ops.publish_marts(bigint) from public;

grant usage on schema raw to loader, transformer;
grant select, insert, update, delete on all tables in schema raw to loader;
grant select on all tables in schema raw to transformer;
grant usage on schema ops to loader, dashboard;
grant execute on function ops.publish_marts(bigint) to loader;
alter function ops.publish_marts(bigint) owner to transformer; -- it writes kpi, which nobody else does
grant select, update on ops.mart_version to loader;
grant select on ops.mart_version to transformer, dashboard;
grant usage on schema kpi to dashboard;
alter default privileges for role transformer in schema kpi grant select on tables to dashboard;
alter default privileges for role transformer in schema ops grant select on tables to dashboard;
alter role dashboard set default_transaction_read_only = on;
alter role dashboard set statement_timeout = '5s';
alter role dashboard set idle_in_transaction_session_timeout = '10s';
