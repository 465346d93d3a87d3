-- Of files that were loaded before, nothing is known of either until they are replayed.
alter table raw.files add column if not exists timezone text not null default 'UTC'; -- of the feed: its local date is the sale date
alter table raw.files add column if not exists times text not null default 'never'; -- sometimes: a line at midnight has none

-- Prevents a word that no model knows, which would leave the hour of its lines unknown.
alter table raw.files drop constraint if exists files_times;
alter table raw.files add constraint files_times check (times in ('never', 'sometimes', 'always'));
