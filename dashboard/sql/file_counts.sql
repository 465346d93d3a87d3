select status, count(*) as files
from ops.ops_load_history
group by status
order by files desc, status
