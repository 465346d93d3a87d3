{% macro line_measures() -%}
        sum(gross_amount) as gross_sales,
        sum(discount_amount) as discounts,
        sum(return_amount) as returns,
        sum(net_amount) as net_sales,
        sum(units_sold) as units_sold,
        sum(returned_units) as returned_units,
        sum(cost_amount) as cost_amount,
        sum(gross_margin) as gross_margin,
        coalesce(sum(net_amount) filter (where cost_amount is not null), 0) as costed_net_sales,
        sum(cancelled_value) as cancelled_value,
        count(*) as lines
{%- endmacro %}

{% macro distinct_orders() -%}
        count(distinct (feed, sale_id)) filter (where line_type = 'sale')
{%- endmacro %}
