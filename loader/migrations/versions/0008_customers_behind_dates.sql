-- A day's rows are entered into them side by side, and not each on a page of its own. While they are built, who writes
-- these tables waits: some minutes with twenty million lines.
do $$
declare
    superseded regclass;
begin
    for superseded in
        select indexrelid
        from pg_index
        where
            indrelid in (to_regclass('core.fct_sales_lines'), to_regclass('core.fct_orders'))
            and pg_get_indexdef(indexrelid) ~ '\((sale_date|customer_id, sale_date)\)$'
    loop
        execute format('drop index %s', superseded);
    end loop;
    if to_regclass('core.fct_sales_lines') is not null then
        create index on core.fct_sales_lines (sale_date, customer_id);
        create index on core.fct_sales_lines (customer_id, sale_date)
        where line_type not in ('sale', 'return') or customer_id = 'unknown';
    end if;
    if to_regclass('core.fct_orders') is not null then
        create index on core.fct_orders (sale_date, customer_id);
    end if;
end
$$;
