-- It tells kpi_rfm_segments, which counts customers by bands of net sales, who of one band spends more than another.
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
