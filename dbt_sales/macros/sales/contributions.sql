{# What rows of facts add to a mart that is the sum of them: all rows at once, or those that a run changes. Each takes what
   may stand behind `from`, with the columns of the fact. #}
{% macro cohort_month_sums(days) -%}
    select
        date_trunc('month', first_order_date)::date as cohort_month,
        month,
        currency,
        count(*) filter (where orders > 0) as active_customers,
        count(*) filter (where orders > 1) as repeat_customers,
        sum(orders) as orders,
        sum(net_sales) as net_sales,
        count(*) as customers
    from (
        select
            date_trunc('month', sale_date)::date as month,
            currency,
            sum(orders) as orders,
            sum(net_sales) as net_sales,
            min(min(sale_date) filter (where orders > 0)) over (partition by customer_id) as first_order_date
        from {{ days }} as days
        group by customer_id, date_trunc('month', sale_date)::date, currency
    ) as members
    where first_order_date is not null
    group by date_trunc('month', first_order_date)::date, month, currency
{%- endmacro %}

{% macro rfm_cell_sums(customers) -%}
    select
        currency,
        last_order_date,
        window_orders,
        {{ sales_band('window_net_sales') }} as sales_band,
        count(*) as customers,
        sum(window_net_sales) as net_sales
    from {{ customers }} as customers
    where window_orders > 0
    group by currency, last_order_date, window_orders, {{ sales_band('window_net_sales') }}
{%- endmacro %}
