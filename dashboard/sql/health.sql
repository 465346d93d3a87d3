select
    bucket.unseen_objects,
    array(select to_jsonb(trouble)::text from ops.problems as trouble order by 1) as problems
from ops.bucket as bucket
