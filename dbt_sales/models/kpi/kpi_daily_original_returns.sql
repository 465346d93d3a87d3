{{ config(
    materialized='incremental',
    served=true,
    reaches_further=true,
    unique_key=['original_sale_date', 'sale_date', 'product_id', 'store_id', 'sales_region', 'sales_channel', 'sales_representative', 'currency'],
    indexes=[
        {'columns': [
            'original_sale_date', 'sale_date', 'product_id', 'store_id', 'sales_region', 'sales_channel',
            'sales_representative', 'currency',
        ], 'unique': true},
        {'columns': ['sale_date']},
    ],
) }}

{% set lines = ref('fct_sales_lines') %}
{% set orders = ref('fct_orders') %}

{# A return finds another origin when its order comes, changes or goes, whatever the day of the return. #}
{% set other_dates %}
        select line.sale_date
        from (
            select feed, sale_id from {{ replaced(orders) }} as sold
            union
            select feed, sale_id from {{ incoming(orders) }} as sold
        ) as touched
        cross join lateral (
            select sale_date
            from {{ lines }} as kept
            where
                kept.sale_id = touched.sale_id
                and kept.feed = touched.feed
                and kept.line_type = 'return'
                and kept.sale_date != all({{ affected_dates() }})
            offset 0
        ) as line
{% endset %}

with orders as {{ materialized(false) }} (
    select * from {{ whole(orders) }} as sold
),

returned as (
    select * from {{ incoming(lines) }} as line
    where line_type = 'return'
    {% if increments() -%}
    union all
    select * from {{ lines }} as line
    where line_type = 'return' and sale_date = any(array({{ other_dates }}))
    {%- endif %}
),

-- Materialized: else the order is looked for wherever its date is named.
matched as {{ materialized() }} (
    select
        returned.sale_date,
        returned.product_id,
        returned.store_id,
        returned.sales_region,
        returned.sales_channel,
        returned.sales_representative,
        returned.currency,
        returned.return_amount,
        returned.returned_units,
        (
            select max(orders.sale_date)
            from orders
            where
                orders.sale_id = returned.sale_id
                and orders.feed = returned.feed
                and orders.sale_date <= returned.sale_date
                and orders.order_status = 'completed'
        ) as order_date
    from returned
),

final as (
    select
        coalesce(order_date, sale_date) as original_sale_date,
        sale_date,
        product_id,
        store_id,
        sales_region,
        sales_channel,
        sales_representative,
        currency,
        sum(return_amount) as returns,
        sum(returned_units) as returned_units,
        count(order_date) as matched_lines,
        count(*) as lines
    from matched
    group by
        coalesce(order_date, sale_date),
        sale_date,
        product_id,
        store_id,
        sales_region,
        sales_channel,
        sales_representative,
        currency
)

select * from final
