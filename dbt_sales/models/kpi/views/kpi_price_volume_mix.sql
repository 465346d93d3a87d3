{{ config(materialized='view') }}

-- Nothing is materialized, and totals are windows: a question about one month sums up that month, and not all of them.
with months as not materialized (
    select
        month,
        product_id,
        currency,
        net_sales,
        units_sold - returned_units as units
    from {{ ref('kpi_monthly_product_sales') }}
),

comparisons (comparison, distance) as not materialized (
    values
    ('previous_month', interval '1 month'),
    ('last_year', interval '1 year')
),

-- Each month once as itself and once as the base of a later one.
sides as (
    select
        comparisons.comparison,
        months.month,
        months.product_id,
        months.currency,
        months.net_sales,
        months.units,
        0 as base_net_sales,
        0 as base_units,
        1 as sold
    from months
    cross join comparisons
    union all
    select
        comparisons.comparison,
        (months.month + comparisons.distance)::date as month,
        months.product_id,
        months.currency,
        0 as net_sales,
        0 as units,
        months.net_sales as base_net_sales,
        months.units as base_units,
        0 as sold
    from months
    cross join comparisons
),

products as (
    select
        comparison,
        month,
        product_id,
        currency,
        sum(net_sales) as net_sales,
        sum(units) as units,
        sum(base_net_sales) as base_net_sales,
        sum(base_units) as base_units,
        sum(sold) as sold
    from sides
    group by comparison, month, product_id, currency
),

totals as (
    select
        *,
        sum(units) over compared as total_units,
        sum(base_units) over compared as total_base_units,
        sum(base_net_sales) over compared as total_base_net_sales,
        sum(sold) over compared as total_sold
    from products
    window compared as (partition by comparison, month, currency)
),

-- Volume: what the base would be worth if all products had moved like the total. Price: what the units of now cost more
-- than at the price of then. Mix is what remains, so that the three sum to the difference to the cent.
effects as (
    select
        *,
        case
            when base_units > 0 and units > 0 then round(net_sales - base_net_sales / base_units * units, 2)
            else 0
        end as price_effect,
        case
            when base_units > 0 and total_base_units > 0
                then round(base_net_sales * (total_units / total_base_units - 1), 2)
            else 0
        end as volume_effect
    from totals
    where total_sold > 0 and total_base_net_sales != 0
),

final as (
    select
        month,
        comparison,
        product_id,
        currency,
        net_sales,
        units,
        base_net_sales,
        base_units,
        net_sales - base_net_sales as net_sales_change,
        price_effect,
        volume_effect,
        net_sales - base_net_sales - price_effect - volume_effect as mix_effect
    from effects
)

select * from final
