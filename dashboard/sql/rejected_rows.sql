select key, source_line, reasons, raw_text, revenue_at_risk, currency, feed, file_status, rejected_at
from ops.ops_rejected_rows
order by rejected_at desc, file_id desc, source_line
limit :limit
