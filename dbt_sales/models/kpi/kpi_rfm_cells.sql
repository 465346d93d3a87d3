{# Many a cell is of one customer, whom it does not name: who may not see customers sees the segments alone. #}
{{ config(
    materialized='incremental',
    unique_key=['currency', 'last_order_date', 'window_orders', 'sales_band'],
    keep='customers != 0',
    grants={'select': ['dashboard_customers']},
    indexes=[
        {'columns': ['currency', 'last_order_date', 'window_orders', 'sales_band'], 'unique': true},
    ],
) }}

{% set customers = ref('kpi_customers') %}

{% set replaced_customers %}
(
    select published.*
    from (select distinct customer_id from {{ next_of(customers) }}) as member
    cross join lateral (
        select * from {{ customers }} as kept where kept.customer_id = member.customer_id offset 0
    ) as published
)
{% endset %}

{{ maintained_sums(
    keys=['currency', 'last_order_date', 'window_orders', 'sales_band'],
    sums=['customers', 'net_sales'],
    new=rfm_cell_sums(incoming(customers)),
    old=rfm_cell_sums(replaced_customers),
) }}
