{{ config(materialized='view') }}

with sales as (
    select * from {{ ref('kpi_daily_sales') }}
),

ratings as (
    select
        date_trunc('month', sale_date)::date as month,
        sales_representative,
        sum(ratings_1) as ratings_1,
        sum(ratings_2) as ratings_2,
        sum(ratings_3) as ratings_3,
        sum(ratings_4) as ratings_4,
        sum(ratings_5) as ratings_5
    from sales
    group by date_trunc('month', sale_date)::date, sales_representative
),

final as (
    select
        *,
        ratings_1 + ratings_2 + ratings_3 + ratings_4 + ratings_5 as rated_lines,
        (ratings_1 + 2 * ratings_2 + 3 * ratings_3 + 4 * ratings_4 + 5 * ratings_5)
        / nullif(ratings_1 + ratings_2 + ratings_3 + ratings_4 + ratings_5, 0) as mean_rating
    from ratings
)

select * from final
