{# Fails with each range that is empty, or that ends after the next one of its partition begins. #}
{% test mutually_exclusive_ranges(model, lower_bound, upper_bound, partition_by, gaps=true) %}
with ranges as (
    select
        {{ partition_by }},
        {{ lower_bound }} as lower_bound,
        {{ upper_bound }} as upper_bound,
        lead({{ lower_bound }}) over (partition by {{ partition_by }} order by {{ lower_bound }}) as next_lower_bound
    from {{ model }}
)

select *
from ranges
where
    lower_bound is null
    or lower_bound >= upper_bound
    {#- An open end is after everything. #}
    or (next_lower_bound is not null and upper_bound is null)
    or upper_bound {{ '>' if gaps else '!=' }} next_lower_bound
{% endtest %}
