-- Serve the query `metrics`: a scrape every few seconds reads, of a ledger of years, what waits and what was modelled
-- lately, and no more.
create index files_waiting on raw.files (received_at) where status in ('discovered', 'loading', 'failed');
create index files_modelled_at on raw.files (modelled_at);
