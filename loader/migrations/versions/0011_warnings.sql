alter table raw.files add column warning text; -- what a person should look at in a file that counts; null: nothing
