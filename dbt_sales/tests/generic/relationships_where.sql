{# Fails with each row whose value is not among those of the other relation, of the rows that the conditions leave. #}
{% test relationships_where(model, column_name, to, field, from_condition='true', to_condition='true') %}
with referring as (
    select {{ column_name }} as reference
    from {{ model }}
    where {{ column_name }} is not null and ({{ from_condition }})
),

referred as (
    select {{ field }} as reference
    from {{ to }}
    where {{ to_condition }}
)

select referring.reference
from referring
where not exists (select from referred where referred.reference = referring.reference)
{% endtest %}
