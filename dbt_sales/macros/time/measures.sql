{# By name, the numerator and denominator of each rate of a period. #}
{% macro period_rates() -%}
    {{ return({
        'average_transaction_value': ['net_sales', 'orders'],
        'units_per_order': ['units_sold', 'orders'],
        'margin_rate': ['gross_margin', 'costed_net_sales'],
        'cost_coverage_rate': ['costed_net_sales', 'net_sales'],
        'discount_rate': ['discounts', 'gross_sales'],
        'return_rate': ['returned_units', 'units_sold'],
        'cancellation_rate': ['cancelled_orders', '(orders + cancelled_orders)'],
    }) }}
{%- endmacro %}

{% macro rates() -%}
    {%- for rate, parts in period_rates().items() %}
        {{ ratio(parts[0], parts[1]) }} as {{ rate }}{{ ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{# sum() of whole numbers is numeric in PostgreSQL; a count stays one. All else is money, or units, which may be fractions. #}
{% macro totals(measures) -%}
    {%- set counts = [
        'orders', 'cancelled_orders', 'costed_lines', 'delivered_lines', 'delivered_on_time_lines', 'delivery_days',
        'ratings_1', 'ratings_2', 'ratings_3', 'ratings_4', 'ratings_5', 'lines',
    ] -%}
    {%- for measure in measures %}
        sum({{ measure }}){{ '::bigint' if measure in counts }} as {{ measure }}{{ ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{# Σ/Σ, and null where there is nothing to divide by. `1.0 *`: whole numbers would give a whole number. #}
{% macro ratio(numerator, denominator) -%}
    1.0 * {{ numerator }} / nullif({{ denominator }}, 0)
{%- endmacro %}

{% macro change_rate(value, base) -%}
    1.0 * ({{ value }} - {{ base }}) / nullif(greatest({{ base }}, 0), 0)
{%- endmacro %}
