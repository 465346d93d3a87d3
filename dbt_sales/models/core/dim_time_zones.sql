{{ config(materialized='ephemeral') }}

-- No view itself, nor what it reads: whenever dbt builds one anew, it drops what reads it.
with files as (
    select * from {{ ref('stg_raw_sales__file_time_zones') }}
),

final as (
    select distinct timezone
    from files
    where timezone is not null -- a file that no feed has read yet
)

select * from final
