{# Fails with each currency in the column that is not the expected one. #}
{% test single_currency(model, column_name, expected) %}
select distinct {{ column_name }}
from {{ model }}
where {{ column_name }} is distinct from '{{ expected }}'
{% endtest %}
