{# What PostgreSQL (`default__`, where it is more than an expression: beside its like) and Spark do differently, by one name. #}
{% macro begin_run() -%}{{ return(adapter.dispatch('begin_run')()) }}{%- endmacro %}
{% macro end_run(results) -%}{{ return(adapter.dispatch('end_run')(results)) }}{%- endmacro %}
{% macro forget_dropped_views() -%}{{ return(adapter.dispatch('forget_dropped_views')()) }}{%- endmacro %}
{% macro complete_created_table() -%}{{ return(adapter.dispatch('complete_created_table')()) }}{%- endmacro %}
{% macro built(relation) -%}{{ return(adapter.dispatch('built')(relation)) }}{%- endmacro %}
{% macro has_served() -%}{{ return(adapter.dispatch('has_served')()) }}{%- endmacro %}

{% macro local_time(moment, timezone) -%}{{ return(adapter.dispatch('local_time')(moment, timezone)) }}{%- endmacro %}
{% macro default__local_time(moment, timezone) -%}{{ return(moment ~ ' at time zone ' ~ timezone) }}{%- endmacro %}
{% macro spark__local_time(moment, timezone) -%}{{ return('from_utc_timestamp(' ~ moment ~ ', ' ~ timezone ~ ')') }}{%- endmacro %}

{% macro holds(list, value) -%}{{ return(adapter.dispatch('holds')(list, value)) }}{%- endmacro %}
{% macro default__holds(list, value) -%}{{ return("'" ~ value ~ "' = any(" ~ list ~ ')') }}{%- endmacro %}
{% macro spark__holds(list, value) -%}{{ return('array_contains(' ~ list ~ ", '" ~ value ~ "')") }}{%- endmacro %}

{% macro days_between(first, last) -%}{{ return(adapter.dispatch('days_between')(first, last)) }}{%- endmacro %}
{% macro default__days_between(first, last) -%}{{ return(last ~ ' - ' ~ first) }}{%- endmacro %}
{% macro spark__days_between(first, last) -%}{{ return('datediff(' ~ last ~ ', ' ~ first ~ ')') }}{%- endmacro %}

{% macro items(list) -%}{{ return(adapter.dispatch('items')(list)) }}{%- endmacro %}
{% macro default__items(list) -%}{{ return('unnest(' ~ list ~ ')') }}{%- endmacro %}
{% macro spark__items(list) -%}{{ return('lateral explode(' ~ list ~ ')') }}{%- endmacro %}

{# Spark numbers rows in no window that has a frame. #}
{% macro row_number_over(window, definition) -%}{{ return(adapter.dispatch('row_number_over')(window, definition)) }}{%- endmacro %}
{% macro default__row_number_over(window, definition) -%}{{ return('row_number() over ' ~ window) }}{%- endmacro %}
{% macro spark__row_number_over(window, definition) -%}{{ return('row_number() over (' ~ definition ~ ')') }}{%- endmacro %}

{# A hint to PostgreSQL's planner. #}
{% macro materialized(is_so=true) -%}{{ return(adapter.dispatch('materialized')(is_so)) }}{%- endmacro %}
{% macro default__materialized(is_so) -%}{{ return(('' if is_so else 'not ') ~ 'materialized') }}{%- endmacro %}
{% macro spark__materialized(is_so) -%}{{ return('') }}{%- endmacro %}
