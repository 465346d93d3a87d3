select
    currency,
    sum(readable_rows)::bigint as readable_rows,
    sum(revenue_at_risk) as revenue_at_risk
from ops.ops_revenue_at_risk
where file_status in ('loaded', 'rejected')
group by currency
having sum(readable_rows) > 0
order by readable_rows desc, currency
