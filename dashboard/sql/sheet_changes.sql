select received_at, feed, key, key_before, kind, subject, word, words, lines, figure, lowest_before, highest_before
from ops.ops_sheet_changes
order by received_at desc, file_id desc, kind, subject
limit :limit
