{# The seam: before it is history that Spark has modelled and `loader serve` has brought into the schema `served`, and after
   it the live window. A model with the configuration `served` has both. #}
{% macro default__has_served() -%}
    {#- An example of a model has the rows that it gives, and no history. -#}
    {{ return(execute and model.resource_type != 'unit_test' and run_query('select exists (select from ' ~ api.Relation.create(schema='ops', identifier='seam') ~ ')').rows[0][0]) }}
{%- endmacro %}
{% macro spark__has_served() -%}{{ return(false) }}{%- endmacro %}

{% macro served_rows(rows) -%}
    {#- Select statement of the served rows of this model, or '' where there are none. Of members those without later rows.
        A view is of the seam that is published, and so is its history, also while the next one is built. -#}
    {%- if not config.get('served') or not has_served() -%}{{ return('') }}{%- endif -%}
    {%- set keys = (config.get('unique_key') or []) | join(', ') -%}
    select {{ model.columns | join(', ') }} from {{ api.Relation.create(schema='served', identifier=model.name) }} as earlier
    {%- if config.get('keep') %}
    where ({{ keys }}) not in (select {{ keys }} from {{ rows }})
    {%- elif config.get('materialized') == 'view' %}
    where sale_date < coalesce((select min(sale_date) from {{ ref('fct_sales_lines') }}), 'infinity')
    {%- endif %}
{%- endmacro %}

{% macro insert_served() -%}
    {%- set earlier = served_rows(this) -%}
    {%- if earlier %} insert into {{ this }} ({{ model.columns | join(', ') }}) {{ earlier }};{% endif -%}
{%- endmacro %}

{% macro with_served(rows) -%}
    {%- set earlier = served_rows(rows) -%}
    select {{ model.columns | join(', ') if earlier else '*' }} from {{ rows }}
    {%- if earlier %}
    union all
    {{ earlier }}
    {%- endif %}
{%- endmacro %}
