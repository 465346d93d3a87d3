-- Of the months from the first to the last, products with enough ratings: the best first, or the worst.
select product_id, ratings_1, ratings_2, ratings_3, ratings_4, ratings_5, rated_lines, mean_rating
from (
    select
        rated.*,
        (ratings_1 + 2 * ratings_2 + 3 * ratings_3 + 4 * ratings_4 + 5 * ratings_5) / rated_lines as mean_rating
    from (
        select
            product_id,
            sum(ratings_1) as ratings_1,
            sum(ratings_2) as ratings_2,
            sum(ratings_3) as ratings_3,
            sum(ratings_4) as ratings_4,
            sum(ratings_5) as ratings_5,
            sum(rated_lines) as rated_lines
        from kpi.kpi_product_ratings
        where month between :first_month and :last_month
        group by product_id
    ) as rated
    where rated_lines >= greatest(:at_least, 1)
) as rating
order by case when :best_first then -mean_rating else mean_rating end, rated_lines desc, product_id
limit :limit
