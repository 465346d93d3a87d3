select
    sales_representative,
    sum(ratings_1) as ratings_1,
    sum(ratings_2) as ratings_2,
    sum(ratings_3) as ratings_3,
    sum(ratings_4) as ratings_4,
    sum(ratings_5) as ratings_5,
    sum(rated_lines) as rated_lines,
    sum(mean_rating * rated_lines) / nullif(sum(rated_lines), 0) as mean_rating
from kpi.kpi_rep_ratings
where month between :first and :last
group by sales_representative
having sum(rated_lines) >= greatest(:at_least, 1)
order by mean_rating desc, rated_lines desc, sales_representative
