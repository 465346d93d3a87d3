-- It tells kpi_rfm_segments, which counts customers by bands of net sales, which of one band spend more than an amount. While
-- it is built, a second or two with a million customers, who writes this table waits, and who reads it does not.
do $$
begin
    if
        to_regclass('kpi.kpi_customers') is not null
        and not exists (
            select 1
            from pg_index
            where
                indrelid = to_regclass('kpi.kpi_customers')
                and strpos(pg_get_indexdef(indexrelid), 'window_net_sales, last_order_date, window_orders)') > 0
        )
    then
        create index on kpi.kpi_customers (
            currency,
            (floor(5 * log(greatest(window_net_sales, 0.01)::double precision))::integer),
            window_net_sales,
            last_order_date,
            window_orders
        )
        where window_orders > 0;
    end if;
end
$$;
