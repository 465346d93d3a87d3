-- Without a default, so the ledger is not rewritten. Of files that were loaded before it is null, until a replay.
alter table raw.files add column if not exists profile jsonb; -- medians of amounts, and words with their rows: loader/profile.py
