-- The cells are kept up by what each run changes; this counts every customer anew.
with customers as (
    {{ rfm_cell_sums('(select * from ' ~ ref('kpi_customers') ~ ')') }}
),

cells as (
    select * from {{ ref('kpi_rfm_cells') }}
)

select
    coalesce(customers.currency, cells.currency) as currency,
    coalesce(customers.last_order_date, cells.last_order_date) as last_order_date,
    coalesce(customers.window_orders, cells.window_orders) as window_orders,
    coalesce(customers.sales_band, cells.sales_band) as sales_band,
    customers.customers as counted_customers,
    cells.customers,
    customers.net_sales as counted_net_sales,
    cells.net_sales
from customers
full join cells
    on
        customers.currency = cells.currency
        and customers.last_order_date = cells.last_order_date
        and customers.window_orders = cells.window_orders
        and customers.sales_band = cells.sales_band
where (customers.customers, customers.net_sales) is distinct from (cells.customers, cells.net_sales)
