-- A current file has exactly the rows that its ledger entry says were loaded, and no other file has any. Items that
-- wait for their order are no lines yet, and orders never are.
with files as (
    select * from {{ ref('stg_raw_sales__files') }}
),

lines as (
    select
        file_id,
        count(*) as lines
    from {{ source('raw_sales', 'sales_lines') }} -- also those before the seam, which are history's
    group by file_id
),

waiting as (
    select * from {{ ref('stg_raw_sales__waiting_items') }}
)

select
    files.file_id,
    files.status,
    files.rows_loaded,
    lines.lines,
    waiting.rows_waiting
from files
left join lines on files.file_id = lines.file_id
left join waiting on files.file_id = waiting.file_id
where
    coalesce(lines.lines, 0) + coalesce(waiting.rows_waiting, 0)
    != case when files.status = 'loaded' and files.kind = 'lines' then files.rows_loaded else 0 end
