{# A window without sales has sold nothing; what no cost is known of has no margin. #}
{% macro totals_or_nothing() -%}
    {%- for measure in compared_measures() %}
        {{ measure if measure == 'gross_margin' else 'coalesce(' ~ measure ~ ', 0) as ' ~ measure }}
        {{- ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{% macro compared_columns(period, compared, is_complete) -%}
    {%- set rates = period_rates().keys() | list -%}
    {%- for measure in compared_measures() + rates %}
        {{ period }}.{{ measure }},
        {{ compared }}.{{ measure }} as {{ measure }}_compared,
        case when {{ is_complete }} then {{ period }}.{{ measure }} - {{ compared }}.{{ measure }} end
            as {{ measure }}_delta
        {%- if measure not in rates or measure in ['average_transaction_value', 'units_per_order'] %},
        case when {{ is_complete }} then {{ change_rate(period ~ '.' ~ measure, compared ~ '.' ~ measure) }} end
            as {{ measure }}_delta_rate
        {%- endif %}
        {{- ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{% macro sales_of_two_periods(dimension, mart, key) -%}
    select
        windows.currency,
        windows.period,
        windows.as_of_date,
        '{{ dimension }}' as dimension,
        mart.{{ key }} as member,
        coalesce(sum(mart.net_sales) filter (where mart.sale_date >= windows.period_start), 0) as net_sales,
        coalesce(sum(mart.net_sales) filter (where mart.sale_date < windows.period_start), 0) as previous_net_sales
    from windows
    inner join (select * from {{ mart }}) as mart
        on
            windows.currency = mart.currency
            and mart.sale_date between windows.previous_start and windows.as_of_date
    group by windows.currency, windows.period, windows.as_of_date, mart.{{ key }}
{%- endmacro %}

{# A history that hardly varies would make an anomaly of every small change: 5 % of the mean is no news. #}
{% macro z_score(measure, mean, deviation) -%}
    round(({{ measure }} - {{ mean }}) / nullif(greatest({{ deviation }}, abs({{ mean }}) * 0.05), 0), 4)
{%- endmacro %}
