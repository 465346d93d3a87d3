with source as (
    select * from {{ source('raw_sales', 'rejected_rows') }}
),

final as (
    select
        file_id,
        row_number,
        source_line,
        raw_text,
        errors,
        revenue_at_risk,
        rejected_at
    from source
)

select * from final
