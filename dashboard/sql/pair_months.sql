-- From each month to the one before it, along the index: there are thousands of pairs in each of a few dozen months.
with recursive months as (
    select max(month) as month
    from kpi.kpi_monthly_product_pairs
    union all
    select (select max(pairs.month) from kpi.kpi_monthly_product_pairs as pairs where pairs.month < months.month)
    from months
    where months.month is not null
)

select month
from months
where month is not null
order by month desc
