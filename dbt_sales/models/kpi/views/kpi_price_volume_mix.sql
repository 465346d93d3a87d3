{{ config(materialized='view') }}

with months as (
    select
        month,
        product_id,
        currency,
        net_sales,
        units_sold - returned_units as units
    from {{ ref('kpi_monthly_product_sales') }}
),

calendar as (
    select distinct
        month,
        currency
    from months
),

comparisons (comparison, distance) as (
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
        0 as base_units
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
        months.units as base_units
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
        sum(base_units) as base_units
    from sides
    group by comparison, month, product_id, currency
),

totals as (
    select
        comparison,
        month,
        currency,
        sum(units) as units,
        sum(base_units) as base_units,
        sum(base_net_sales) as base_net_sales
    from products
    group by comparison, month, currency
),

-- Volume: what the base would be worth if all products had moved like the total. Price: what the units of now cost more
-- than at the price of then. Mix is what remains, so that the three sum to the difference to the cent.
effects as (
    select
        products.*,
        case
            when products.base_units > 0 and products.units > 0
                then round(products.net_sales - products.base_net_sales / products.base_units * products.units, 2)
            else 0
        end as price_effect,
        case
            when products.base_units > 0 and totals.base_units > 0
                then round(products.base_net_sales * (totals.units / totals.base_units - 1), 2)
            else 0
        end as volume_effect
    from products
    inner join calendar on products.month = calendar.month and products.currency = calendar.currency
    inner join totals
        on
            products.comparison = totals.comparison
            and products.month = totals.month
            and products.currency = totals.currency
    where totals.base_net_sales != 0
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
