-- Targets, as a log of what was set: the latest change of a month, place and currency counts, before the seed. Nobody may
-- change or delete a row, so that what was, who changed it and when, is never lost.
create table if not exists dashboard.target_changes (
    change_id bigint generated always as identity primary key,
    month date not null
        -- Prevents two targets of one month.
        constraint target_changes_are_of_whole_months check (extract(day from month) = 1),
    place_type text not null check (place_type in ('sales_region', 'store_id')), -- prevents places that no mart knows
    place text not null check (btrim(place) <> ''), -- prevents a target that nobody has
    currency text not null check (btrim(currency) <> ''),
    target_net_sales numeric -- null: no target any more, whatever the seed says
        -- Prevents fractions of a cent, and what is no amount: 'NaN' is above everything.
        constraint target_changes_are_amounts check (
            target_net_sales > 0 and target_net_sales < 1e12 and target_net_sales = round(target_net_sales, 2)
        ),
    changed_by text, -- null: somebody who had not signed in
    changed_at timestamptz not null default clock_timestamp()
);
grant select on dashboard.target_changes to dashboard_viewer, dashboard_writer;
grant insert on dashboard.target_changes to dashboard_writer;
grant usage on schema dashboard to transformer;
grant select on dashboard.target_changes to transformer; -- dbt works them into the marts

-- Notes on days, which trends show. One that was deleted stays here, and is shown no more.
create table if not exists dashboard.annotations (
    annotation_id bigint generated always as identity primary key,
    day date not null,
    sales_region text check (btrim(sales_region) <> ''), -- null: of all regions
    note text not null
        -- Prevents a note that nobody can read, or that fills the page.
        check (note = btrim(note) and length(note) between 1 and 200),
    created_by text,
    created_at timestamptz not null default now(),
    deleted_by text,
    deleted_at timestamptz
);
grant select on dashboard.annotations to dashboard_viewer, dashboard_writer;
grant insert on dashboard.annotations to dashboard_writer;
grant update (deleted_by, deleted_at) on dashboard.annotations to dashboard_writer;

-- A view of one person, by the subject of the identity token; null: of everybody.
alter table dashboard.saved_views add column if not exists owner text
    check (owner <> ''); -- prevents a view of nobody, which is who a query is of that names no person
alter table dashboard.saved_views drop constraint if exists saved_views_name;
-- Prevent two views that a list cannot tell apart. Two people may call their own alike, as neither sees the other's.
create unique index if not exists saved_views_public_name on dashboard.saved_views (name) where owner is null;
create unique index if not exists saved_views_own_name on dashboard.saved_views (owner, name) where owner is not null;

-- The view with which somebody begins.
create table if not exists dashboard.default_views (
    person text primary key check (person <> ''), -- prevents two views to begin with
    view_id bigint not null references dashboard.saved_views on delete cascade
);
grant select on dashboard.default_views to dashboard_viewer, dashboard_writer;
grant insert, update, delete on dashboard.default_views to dashboard_writer;

-- Each query says of whom it is, in the setting `dashboard.person`. One that does not has what is everybody's: a
-- statement that forgets to ask for the person shows too little, and never the view of another.
alter table dashboard.saved_views enable row level security;
drop policy if exists saved_views_of_all_and_ones_own on dashboard.saved_views;
create policy saved_views_of_all_and_ones_own on dashboard.saved_views to dashboard_viewer, dashboard_writer
    using (owner is null or owner = current_setting('dashboard.person', true));
alter table dashboard.default_views enable row level security;
drop policy if exists default_views_ones_own on dashboard.default_views;
create policy default_views_ones_own on dashboard.default_views to dashboard_viewer, dashboard_writer
    using (person = current_setting('dashboard.person', true));
