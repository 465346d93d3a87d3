{{ config(materialized='view') }}

{% set minimum = var('mover_minimum_net_sales') %}

with first_days as (
    select
        currency,
        min(sale_date) as first_sale_date
    from {{ ref('kpi_daily_category_sales') }} -- the mart that has the fewest rows
    group by currency
),

newest_days as (
    select * from {{ ref('kpi_newest_days') }}
),

spans as (
    select
        first_days.currency,
        first_days.first_sale_date,
        newest_days.complete_until as as_of_date
    from first_days
    inner join newest_days on first_days.currency = newest_days.currency
),

-- Without a whole previous period there is nothing to move from.
windows as (
    select
        spans.currency,
        presets.period,
        spans.as_of_date,
        spans.as_of_date - presets.days + 1 as period_start,
        spans.as_of_date - 2 * presets.days + 1 as previous_start
    from spans
    cross join (values ('7_days', 7), ('28_days', 28)) as presets (period, days)
    where spans.first_sale_date <= spans.as_of_date - 2 * presets.days + 1
),

sales as (
    {% for dimension, mart, key in [
        ('product', ref('kpi_daily_product_sales'), 'product_id'),
        ('category', ref('kpi_daily_category_sales'), 'product_category'),
        ('region', ref('kpi_daily_sales'), 'sales_region'),
    ] %}
        select
            '{{ dimension }}' as dimension,
            {{ key }} as member,
            currency,
            sale_date,
            net_sales
        from {{ mart }}
        {{ 'union all' if not loop.last }}
    {% endfor %}
),

members as (
    select
        windows.currency,
        windows.period,
        windows.as_of_date,
        sales.dimension,
        sales.member,
        coalesce(sum(sales.net_sales) filter (where sales.sale_date >= windows.period_start), 0) as net_sales,
        coalesce(sum(sales.net_sales) filter (where sales.sale_date < windows.period_start), 0) as previous_net_sales
    from windows
    inner join sales
        on
            windows.currency = sales.currency
            and sales.sale_date between windows.previous_start and windows.as_of_date
    group by windows.currency, windows.period, windows.as_of_date, sales.dimension, sales.member
),

changes as (
    select
        *,
        net_sales - previous_net_sales as delta,
        sum(net_sales - previous_net_sales) over (partition by currency, period, dimension) as total_delta
    from members
),

products as (
    select
        product_id,
        product_name
    from {{ ref('dim_products') }}
),

final as (
    select
        changes.currency,
        changes.period,
        changes.dimension,
        changes.member,
        coalesce(products.product_name, changes.member) as member_name,
        changes.as_of_date,
        changes.net_sales,
        changes.previous_net_sales,
        changes.delta,
        case
            when changes.previous_net_sales >= {{ minimum }}
                then {{ change_rate('changes.net_sales', 'changes.previous_net_sales') }}
        end as delta_rate,
        changes.total_delta,
        {{ ratio('changes.delta', 'changes.total_delta') }} as contribution_rate
    from changes
    left join products on changes.dimension = 'product' and changes.member = products.product_id
    where greatest(changes.net_sales, changes.previous_net_sales) >= {{ minimum }}
)

select * from final
