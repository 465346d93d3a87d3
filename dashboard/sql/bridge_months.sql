-- The newest month first: the months that have a base that lies in the history and sold something. By the sums of days,
-- as the bridge of all months would be calculated to tell them.
with days as (
    select
        sale_date,
        sum(net_sales) as net_sales
    from kpi.kpi_daily_category_sales
    where currency = :currency
    group by sale_date
),

months as (
    select
        date_trunc('month', days.sale_date)::date as month,
        newest.complete_until as as_of_date
    from days
    cross join (select complete_until from kpi.kpi_newest_days where currency = :currency) as newest
    where days.sale_date <= newest.complete_until
    group by date_trunc('month', days.sale_date)::date, newest.complete_until
),

comparisons (comparison, distance) as (
    values
    ('previous_month', interval '1 month'),
    ('last_year', interval '1 year')
),

compared as (
    select
        comparisons.comparison,
        months.month,
        (months.month - comparisons.distance)::date as base_month,
        (months.month - comparisons.distance + interval '1 month')::date as base_end,
        case
            when months.as_of_date < (months.month + interval '1 month')::date - 1
                then months.as_of_date - months.month + 1
        end as elapsed_days
    from months
    cross join comparisons
)

select
    compared.comparison,
    compared.month
from compared
inner join days
    on
        compared.base_month <= days.sale_date
        and least(compared.base_month + compared.elapsed_days, compared.base_end) > days.sale_date
where compared.base_month >= (select min(sale_date) from days)
group by compared.comparison, compared.month
having sum(days.net_sales) != 0
order by compared.comparison, compared.month desc
