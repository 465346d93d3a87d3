-- A current file has exactly the rows that its ledger entry says were loaded, and no other file has any.
with files as (
    select * from {{ ref('stg_raw_sales__files') }}
),

lines as (
    select
        file_id,
        count(*) as lines
    from {{ ref('stg_raw_sales__sales_lines') }}
    group by file_id
)

select
    files.file_id,
    files.status,
    files.rows_loaded,
    lines.lines
from files
left join lines on files.file_id = lines.file_id
where coalesce(lines.lines, 0) != case files.status when 'loaded' then files.rows_loaded else 0 end
