-- Without a default, so no row is written anew. Items that were loaded before are not held against their orders' currency
-- until a replay.
alter table raw.sales_items add column if not exists signed jsonb; -- its report, should its order have another currency
comment on column raw.sales_items.signed is
'What a rejected row keeps, and the amounts with a sign; null where none has one, or the row states its currency.';
