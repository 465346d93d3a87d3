select test_name, status, failures, message, run_id, tested_at
from ops.ops_test_results
order by status in ('pass', 'success'), test_name
