{% macro line_sums() -%}
    {#- What every daily sales mart sums over its lines; each can be added up further. -#}
    {{ return([
        'gross_sales', 'discounts', 'returns', 'net_sales', 'units_sold', 'returned_units', 'cost_amount', 'gross_margin',
        'costed_net_sales', 'costed_lines', 'cancelled_value', 'pending_payment_value', 'delivered_lines',
        'delivered_on_time_lines', 'delivery_days', 'ratings_1', 'ratings_2', 'ratings_3', 'ratings_4', 'ratings_5', 'lines',
    ]) }}
{%- endmacro %}

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
        count(cost_amount) as costed_lines,
        sum(cancelled_value) as cancelled_value,
        coalesce(
            sum(gross_amount - discount_amount) filter (where line_type = 'sale' and lower(payment_status) = 'pending'), 0
        ) as pending_payment_value,
        count(delivery_date) filter (where line_type = 'sale') as delivered_lines,
        count(*) filter (
            where line_type = 'sale' and delivery_date - sale_date <= {{ var('delivery_promise_days') }}
        ) as delivered_on_time_lines,
        coalesce(sum(delivery_date - sale_date) filter (where line_type = 'sale'), 0) as delivery_days,
        {%- for stars in range(1, 6) %}
        count(*) filter (where customer_rating = {{ stars }}) as ratings_{{ stars }},
        {%- endfor %}
        count(*) as lines
{%- endmacro %}

{% macro distinct_orders() -%}
        count(distinct (feed, sale_id)) filter (where line_type = 'sale')
{%- endmacro %}

{% macro daily_place_sums(members) -%}
    {#- The lines of an order may lie in several places: it is counted once for each of the first of `members`, where its
        first line of that was sold. -#}
    select
        sale_date,
        store_id,
        sales_region,
        sales_channel,
        sales_representative,
        {%- for member in members %}
        {{ member }},
        {%- endfor %}
        currency,
        count(*) filter (where line_type = 'sale' and nth = 1) as orders,
        {{ line_measures() }}
    from (
        select
            *,
            row_number() over (
                partition by sale_date, currency, feed, sale_id, {{ members | first }}, line_type
                order by file_id, row_number
            ) as nth
        from {{ ref('fct_sales_lines') }}
    ) as line
    group by
        sale_date, store_id, sales_region, sales_channel, sales_representative, {{ members | join(', ') }}, currency
{%- endmacro %}
