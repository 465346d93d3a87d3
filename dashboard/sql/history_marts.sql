select mart, as_of, is_behind
from ops.ops_history_marts
