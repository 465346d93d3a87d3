alter table raw.files
    add column dialect text,        -- of the event that announced this version first
    add column compression text,    -- gzip, bzip2, zip, zstd; null: none
    add column encoding text,       -- as the feed says, or as guessed
    add column encoding_guessed boolean not null default false,
    add column header text[],       -- the sheet's own, trimmed: what the cells of a rejected row are called
    add column drift jsonb,         -- what the header has beside, or has otherwise than, the feed: see validation.Drift
    add column skipped jsonb not null default '{}', -- rows_skipped by reason
    add column source_gone_at timestamptz, -- the object was deleted after it was loaded; its rows still count
    add column reupload text not null default 'supersede' check (reupload in ('supersede', 'ignore', 'append')),
    drop constraint files_status_check,
    add constraint files_status_check check (status in (
        'discovered', 'loading', 'loaded', 'rejected', 'failed', 'superseded', 'unchanged', 'source_gone', 'ignored',
        'skipped',  -- set aside by hand, never loaded
        'withdrawn' -- loaded, and taken back by hand
    ));

-- A check of every line cost as much as all the rest of its insertion. What it prevented, lines without a ledger entry,
-- is prevented otherwise: only a load writes lines, with the entry it has locked, and no entry can be deleted.
alter table raw.sales_lines drop constraint sales_lines_file_id_fkey;
revoke delete on raw.files from loader;

drop index raw.files_one_current_version;
-- Prevents two versions of one object from counting at the same time, unless its feed says that uploads add up.
create unique index files_one_current_version on raw.files (bucket, key) where status = 'loaded' and reupload <> 'append';

-- One row per rejected row that was corrected by hand and landed under its own row number.
create table raw.replayed_rows (
    file_id bigint not null references raw.files,
    row_number bigint not null,
    source_line bigint not null,
    raw_text text not null,      -- as it was rejected
    errors jsonb not null,       -- for which it was rejected
    corrected_text text not null, -- as it was landed
    rejected_at timestamptz not null,
    replayed_at timestamptz not null default now(),
    -- Prevents a rejected row from being landed twice.
    primary key (file_id, row_number)
);

grant select, insert, update, delete on raw.replayed_rows to loader;
grant select on raw.replayed_rows to transformer;
