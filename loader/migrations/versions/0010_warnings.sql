alter table raw.files add column if not exists warning text; -- what a person should look at in a file that counts; null: nothing

-- Prevents a file that was loaded while another process gave it up from being announced for ever: only a failed one has a
-- next attempt.
update raw.files set next_attempt_at = null where status <> 'failed' and next_attempt_at is not null;
alter table raw.files drop constraint if exists files_next_attempt;
alter table raw.files add constraint files_next_attempt check (next_attempt_at is null or status = 'failed');
