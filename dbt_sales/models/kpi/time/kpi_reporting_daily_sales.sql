{{ config(materialized='view') }}

{% set reporting_currency = "'" ~ var('reporting_currency') ~ "'" %}
{% set amounts = ['gross_sales', 'discounts', 'returns', 'costed_net_sales', 'cost_amount', 'cancelled_value'] %}
{% set counts = ['orders', 'units_sold', 'returned_units', 'cancelled_orders', 'lines'] %}

with sales as (
    select
        sale_date,
        sales_region,
        sales_channel,
        currency,
        {{ totals(amounts + counts) }}
    from {{ ref('kpi_daily_sales') }}
    group by sale_date, sales_region, sales_channel, currency
),

rates as (
    select
        currency,
        rate_date,
        rate,
        lead(rate_date) over (partition by currency order by rate_date) as next_rate_date
    from {{ ref('currency_rates') }}
    where reporting_currency = {{ reporting_currency }}
),

-- Sales without a rate are kept, not left out of a total. In place of the rate stands a sentence that cannot be cast to
-- a number: whoever asks for them gets an error that says what to do.
rated as (
    select
        sales.*,
        rates.rate_date,
        case
            when sales.currency = {{ reporting_currency }} then 1
            else coalesce(
                rates.rate,
                cast(
                    'no rate of ' || sales.currency || ' to ' || {{ reporting_currency }} || ' on ' || sales.sale_date
                    || ': add one to seeds/currency_rates.csv' as numeric
                )
            )
        end as rate
    from sales
    left join rates
        on
            sales.currency = rates.currency
            and sales.sale_date >= rates.rate_date
            and (sales.sale_date < rates.next_rate_date or rates.next_rate_date is null)
),

converted as (
    select
        sale_date,
        sales_region,
        sales_channel,
        min(rate_date) as oldest_rate_date,
        -- Money is rounded once, for each day, place and currency; from there on it is only summed.
        {% for amount in amounts %}
            sum(round({{ amount }} * rate, 2)) as {{ amount }},
        {% endfor %}
        {{ totals(counts) }}
    from rated
    group by sale_date, sales_region, sales_channel
),

final as (
    select
        sale_date,
        sales_region,
        sales_channel,
        {{ reporting_currency }}::text as reporting_currency,
        oldest_rate_date,
        gross_sales,
        discounts,
        returns,
        gross_sales - discounts - returns as net_sales,
        orders,
        units_sold,
        returned_units,
        cost_amount,
        costed_net_sales - cost_amount as gross_margin,
        costed_net_sales,
        cancelled_value,
        cancelled_orders,
        lines
    from converted
)

select * from final
