-- One tells who bought for most; the other tells kpi_rfm_segments, which counts customers by bands of net sales, which of
-- one band spend more than an amount. While they are built, some seconds with a million customers, who writes this table
-- waits, and who reads it does not.
do $$
declare
    made record;
begin
    for made in
        select wanted.*
        from (
            values
            ('currency, ', 'net_sales, customer_id', ''),
            (
                'currency, (floor(5 * log(greatest(window_net_sales, 0.01)::double precision))::integer), ',
                'window_net_sales, last_order_date, window_orders',
                'where window_orders > 0'
            )
        ) as wanted (first_columns, last_columns, condition)
        where
            to_regclass('kpi.kpi_customers') is not null
            and not exists (
                select 1
                from pg_index
                where
                    indrelid = to_regclass('kpi.kpi_customers')
                    and strpos(pg_get_indexdef(indexrelid), ', ' || wanted.last_columns || ')') > 0
            )
    loop
        execute format(
            'create index on kpi.kpi_customers (%s%s) %s', made.first_columns, made.last_columns, made.condition
        );
    end loop;
end
$$;
