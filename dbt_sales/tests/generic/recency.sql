{# Fails when the latest moment is longer ago than the interval. #}
{% test recency(model, column_name, interval) %}
select max({{ column_name }}) as latest
from {{ model }}
having max({{ column_name }}) < now() - interval '{{ interval }}'
{% endtest %}
