-- A day's rows are entered into them side by side, and not each on a page of its own. While they are built, who writes
-- these tables waits: some minutes with twenty million lines. What they supersede goes last: from then on until the end,
-- nobody reads these tables.
do $$
declare
    made record;
    superseded regclass;
begin
    for made in
        select wanted.*
        from (
            values
            ('core.fct_sales_lines', '(sale_date, customer_id)', ''),
            ('core.fct_orders', '(sale_date, customer_id)', ''),
            (
                'core.fct_sales_lines',
                '(customer_id, sale_date)',
                'where line_type not in (''sale'', ''return'') or customer_id = ''unknown'''
            )
        ) as wanted (relation, columns, condition)
        where
            to_regclass(relation) is not null
            and not exists (
                select 1
                from pg_index
                where
                    indrelid = to_regclass(relation)
                    and strpos(pg_get_indexdef(indexrelid), columns) > 0
                    and (indpred is null) = (condition = '')
            )
    loop
        execute format('create index on %s %s %s', made.relation, made.columns, made.condition);
    end loop;
    for superseded in
        select indexrelid
        from pg_index
        where
            indrelid in (to_regclass('core.fct_sales_lines'), to_regclass('core.fct_orders'))
            and pg_get_indexdef(indexrelid) ~ '\((sale_date|customer_id, sale_date)\)$'
    loop
        execute format('drop index %s', superseded);
    end loop;
end
$$;
