{{ config(
    materialized='incremental',
    unique_key=['original_sale_date', 'sale_date', 'product_id', 'store_id', 'sales_region', 'sales_channel', 'sales_representative', 'currency'],
    keep='lines != 0',
    indexes=[
        {'columns': [
            'original_sale_date', 'sale_date', 'product_id', 'store_id', 'sales_region', 'sales_channel',
            'sales_representative', 'currency',
        ], 'unique': true},
    ],
) }}

{% set lines = ref('fct_sales_lines') %}
{% set orders = ref('fct_orders') %}

{# A return finds another origin when its order comes, changes or goes, whatever the day of the return. #}
{% set returns_that_stay %}
    select line.*
    from (
        select feed, sale_id from {{ replaced(orders) }} as sold
        union
        select feed, sale_id from {{ incoming(orders) }} as sold
    ) as touched
    cross join lateral (
        select *
        from {{ lines }} as kept
        where
            kept.sale_id = touched.sale_id
            and kept.feed = touched.feed
            and kept.line_type = 'return'
            and kept.sale_date != all({{ affected_dates() }})
        offset 0
    ) as line
{% endset %}
{% set returns_before %}
    (select * from {{ replaced(lines) }} as line where line_type = 'return' union all {{ returns_that_stay }})
{% endset %}
{% set returns_after %}
    (select * from {{ incoming(lines) }} as line where line_type = 'return' {% if increments() %}union all {{ returns_that_stay }}{% endif %})
{% endset %}

{{ maintained_sums(
    keys=[
        'original_sale_date', 'sale_date', 'product_id', 'store_id', 'sales_region', 'sales_channel',
        'sales_representative', 'currency',
    ],
    sums=['returns', 'returned_units', 'matched_lines', 'lines'],
    new=original_return_sums(returns_after, whole(orders)),
    old=original_return_sums(returns_before, orders),
) }}
