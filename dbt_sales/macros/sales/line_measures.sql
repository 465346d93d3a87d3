{# What every daily sales mart sums over its lines, by the name of the measure; each can be added up further. #}
{% macro measures_of_lines() -%}
    {%- set sold = "filter (where line_type = 'sale')" -%}
    {%- set on_time = 'delivery_date <= sale_date + ' ~ var('delivery_promise_days') -%}
    {%- set pending = "filter (where line_type = 'sale' and lower(payment_status) = 'pending')" -%}
    {%- set measures = {
        'gross_sales': 'sum(gross_amount)',
        'discounts': 'sum(discount_amount)',
        'returns': 'sum(return_amount)',
        'net_sales': 'sum(net_amount)',
        'units_sold': 'sum(units_sold)',
        'returned_units': 'sum(returned_units)',
        'cost_amount': 'sum(cost_amount)',
        'gross_margin': 'sum(gross_margin)',
        'costed_net_sales': 'coalesce(sum(net_amount) filter (where cost_amount is not null), 0)',
        'costed_lines': 'count(cost_amount)',
        'cancelled_value': 'sum(cancelled_value)',
        'pending_payment_value': 'coalesce(sum(gross_amount - discount_amount) ' ~ pending ~ ', 0)',
        'delivered_lines': 'count(delivery_date) ' ~ sold,
        'delivered_on_time_lines': "count(*) filter (where line_type = 'sale' and " ~ on_time ~ ')',
        'delivery_days': 'coalesce(sum(' ~ dbt.datediff('sale_date', 'delivery_date', 'day') ~ ') ' ~ sold ~ ', 0)',
        'lines': 'count(*)',
    } -%}
    {%- for stars in range(1, 6) -%}
        {%- do measures.update({'ratings_' ~ stars: 'count(*) filter (where customer_rating = ' ~ stars ~ ')'}) -%}
    {%- endfor -%}
    {{ return(measures) }}
{%- endmacro %}

{% macro line_measures() -%}
    {%- for name, expression in measures_of_lines().items() %}
        {{ expression }} as {{ name }}{{ ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{% macro distinct_orders() -%}
    {#- As one text, of which no feed's name can hold the blank: PostgreSQL compares records far slower. What differs first. -#}
    count(distinct case when line_type = 'sale' then sale_id || ' ' || feed end)
{%- endmacro %}
