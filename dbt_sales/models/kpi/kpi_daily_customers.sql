{{ config(
    materialized='incremental',
    reaches_further=true,
    unique_key=['sale_date', 'currency', 'customer_type'],
    indexes=[
        {'columns': ['sale_date', 'currency', 'customer_type'], 'unique': true},
    ],
) }}

{% set orders = ref('fct_orders') %}
{% set days = ref('fct_customer_days') %}

with
{%- if increments() %}
changed as (
    select
        customer_id,
        min(sale_date) filter (where not is_next) as first_before,
        min(sale_date) filter (where is_next) as first_after
    from (
        select
            customer_id,
            sale_date,
            false as is_next
        from {{ replaced(days) }} as gone
        where orders > 0
        union all
        select
            customer_id,
            sale_date,
            true as is_next
        from {{ next_of(days) }} as new
        where orders > 0
    ) as days
    group by customer_id
),

-- The first order that a customer keeps is new, or no longer, where one before it goes or comes.
reached as (
    select stay.sale_date
    from ({{ first_orders_that_stay('select customer_id from changed', days) }}) as stay
    inner join changed on stay.customer_id = changed.customer_id
    where coalesce(changed.first_before < stay.sale_date, false) != coalesce(changed.first_after < stay.sale_date, false)
),
{% endif %}
sold as (
    select * from {{ incoming(orders) }} as sold
    where order_status = 'completed'
    {% if increments() -%}
    union all
    select * from {{ orders }} as sold
    where order_status = 'completed' and sale_date = any(array(select sale_date from reached))
    {%- endif %}
),

new as (
    select
        customer_id,
        min(sale_date) as sale_date
    from {{ incoming(days) }} as day
    where orders > 0
    group by customer_id
),

first_orders as (
    {% if increments() %}
        select
            stay.customer_id,
            least(stay.sale_date, new.sale_date) as sale_date
        from ({{ first_orders_that_stay('select distinct customer_id from sold', days) }}) as stay
        left join new on stay.customer_id = new.customer_id
    {% else %}
        select * from new
    {% endif %}
),

typed as (
    select
        sold.sale_date,
        sold.currency,
        sold.customer_id,
        sold.gross_amount - sold.discount_amount as sold_value,
        case
            when sold.customer_id = 'unknown' then 'unknown'
            when
                sold.sale_date = first_orders.sale_date
                and row_number() over (
                    partition by sold.customer_id, sold.sale_date order by sold.ordered_at, sold.feed, sold.sale_id
                ) = 1
                then 'new'
            else 'returning'
        end as customer_type
    from sold
    left join first_orders on sold.customer_id = first_orders.customer_id
),

final as (
    select
        sale_date,
        currency,
        customer_type,
        count(distinct customer_id) filter (where customer_type != 'unknown') as customers,
        count(*) as orders,
        sum(sold_value) as sold_value
    from typed
    group by sale_date, currency, customer_type
)

select * from final
