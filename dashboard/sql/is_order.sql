-- Along an index.
select exists(select from kpi.kpi_orders where sale_id = :number) as found
