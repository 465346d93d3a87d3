{# Fails when the other relation has more or fewer rows. #}
{% test equal_rowcount(model, compare_model) %}
select
    model_rows,
    compared_rows
from
    (select count(*) as model_rows from {{ model }}) as counted
    cross join (select count(*) as compared_rows from {{ compare_model }}) as compared
where model_rows != compared_rows
{% endtest %}
