-- The newest month first: the months that have the month they are compared with. By the sums of months, as the bridge of
-- all of them would be calculated to tell them.
with months as (
    select
        month,
        sum(net_sales) as net_sales
    from kpi.kpi_monthly_product_sales
    where currency = :currency
    group by month
),

comparisons (comparison, distance) as (
    values
    ('previous_month', interval '1 month'),
    ('last_year', interval '1 year')
)

select
    comparisons.comparison,
    months.month
from months
cross join comparisons
inner join months as base on months.month = (base.month + comparisons.distance)::date
where base.net_sales != 0
order by comparisons.comparison, months.month desc
