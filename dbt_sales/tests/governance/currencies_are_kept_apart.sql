{%- set money = [
    'gross_sales', 'discounts', 'returns', 'net_sales', 'cost_amount', 'gross_margin', 'costed_net_sales',
    'cancelled_value', 'adjustment_value', 'pending_payment_value', 'sold_value',
] -%}
{%- set mixed = [] -%}
{%- set nodes = graph.nodes.values() | list if execute else [] -%}
{%- for mart in nodes if mart.resource_type == 'model' and mart.fqn[1] == 'kpi' -%}
    {%- set grain = [] -%}
    {%- for test in nodes if test.resource_type == 'test' and test.attached_node == mart.unique_id
        and test.test_metadata.name == 'unique_combination_of_columns' -%}
        {%- do grain.extend(test.test_metadata.kwargs.combination) -%}
    {%- endfor -%}
    {%- set holds_money = mart.columns.keys() | select('in', money) | list -%}
    {#- A single line has one currency. #}
    {%- set known = ['currency', 'reporting_currency', 'row_number'] -%}
    {%- if holds_money and not grain | select('in', known) | list -%}
        {%- do mixed.append(mart.name) -%}
    {%- endif -%}
{%- endfor %}
-- A mart with money has its currency in its grain, or it adds up what cannot be added. Reads the project, no rows.
select mart
from unnest(array{{ mixed }}::text []) as mart
