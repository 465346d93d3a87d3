create table if not exists dashboard.reports (
    report_id bigint generated always as identity primary key,
    name text not null
        constraint reports_name unique -- prevents two reports that a mailbox cannot tell apart
        check (name = btrim(name) and length(name) between 1 and 80),
    view_id bigint references dashboard.saved_views on delete set null, -- null: deleted, and the report says so
    schedule text not null check (schedule in ('daily', 'weekly', 'monthly')),
    weekday smallint check (weekday between 1 and 7), -- 1: Monday
    month_day smallint check (month_day between 1 and 31), -- of a shorter month it is the last one
    hour smallint not null check (hour between 0 and 23),
    time_zone text not null,
    recipients text [] not null check (cardinality(recipients) between 1 and 50), -- prevents a report to nobody
    enabled boolean not null default true,
    since timestamptz not null default now(), -- what would have been due before is not made up for
    created_by text,
    created_at timestamptz not null default now(),
    -- Prevents a schedule without its day, and a day that its schedule would pass over.
    constraint reports_day check (
        (schedule = 'weekly') = (weekday is not null) and (schedule = 'monthly') = (month_day is not null)
    )
);

create table if not exists dashboard.report_issues (
    issue_id bigint generated always as identity primary key,
    report_id bigint not null references dashboard.reports on delete cascade,
    due_at timestamptz not null,
    by_hand boolean not null,
    issued_at timestamptz not null default now(),
    -- Prevents a report from being sent once by each process that finds it due, and twice by a double click.
    constraint report_issues_once unique (report_id, due_at, by_hand)
);

-- A delivery is of an alert that was raised or of a report that was issued, to one place.
do $$
begin
    if to_regclass('dashboard.deliveries') is null then
        alter table dashboard.alert_deliveries rename to deliveries;
        alter index dashboard.alert_deliveries_due rename to deliveries_due;
        alter table dashboard.deliveries drop constraint alert_deliveries_pkey;
        alter table dashboard.deliveries
            alter column event_id drop not null,
            add column delivery_id bigint generated always as identity primary key,
            add column issue_id bigint references dashboard.report_issues on delete cascade,
            add column recipient text not null default '', -- empty: where the settings say
            -- Prevents a delivery of nothing, and one of two things.
            add constraint deliveries_of_one_thing check (num_nonnulls(event_id, issue_id) = 1),
            -- Prevents somebody from being told the same thing twice.
            add constraint deliveries_once unique nulls not distinct (event_id, issue_id, channel, recipient);
    end if;
end
$$;
-- Serves the log of a report, and its deletion.
create index if not exists deliveries_of_issues on dashboard.deliveries (issue_id) where issue_id is not null;

alter table dashboard.alert_rules
    add column if not exists recipients text [] not null default '{}', -- empty: the addresses of the settings
    drop constraint if exists alert_rules_basis_check;
alter table dashboard.alert_rules
    -- Prevents a rule that nothing can judge.
    add constraint alert_rules_basis_check check (
        basis in ('value', 'previous day', 'same weekday', 'week', 'previous week', 'month', 'previous month')
    );

-- What the rule said when it fired: it may be changed later, and what was raised stays true.
alter table dashboard.alert_events add column if not exists judged jsonb;
update dashboard.alert_events as event
set judged = jsonb_build_object(
    'measure', rule.measure, 'currency', rule.currency, 'kept', rule.kept, 'basis', rule.basis,
    'direction', rule.direction, 'threshold', rule.threshold::text
)
from dashboard.alert_rules as rule
where rule.rule_id = event.rule_id and event.judged is null;
alter table dashboard.alert_events alter column judged set not null;

grant select on all tables in schema dashboard to dashboard_viewer, dashboard_writer;
grant insert, update, delete on dashboard.reports to dashboard_writer;
grant insert on dashboard.report_issues to dashboard_writer;
grant update on dashboard.alert_rules to dashboard_writer;
