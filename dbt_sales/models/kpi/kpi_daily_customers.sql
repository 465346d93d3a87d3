{{ config(
    materialized='incremental',
    served=true,
    reaches_further=true,
    unique_key=['sale_date', 'currency', 'customer_type'],
    indexes=[
        {'columns': ['sale_date', 'currency', 'customer_type'], 'unique': true},
    ],
) }}

{% set orders = ref('fct_orders') %}
{% set days = ref('fct_customer_days') %}
{# Of most customers no more is needed to tell first orders from later ones: where it is early enough, it counts the
   same before and after the run. A filter of the aggregate: as a condition, PostgreSQL would ask the index of all days
   for the orders of each date of the calendar. -#}
{% set first_order_that_stays %}
        cross join lateral (
            select min(day.sale_date) filter (where day.orders > 0) as sale_date
            from {{ days }} as day
            where day.customer_id = member.customer_id and day.sale_date != all({{ affected_dates() }})
        ) as stay
{%- endset %}

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
    from changed as member {{ first_order_that_stays }}
    where coalesce(member.first_before < stay.sale_date, false) != coalesce(member.first_after < stay.sale_date, false)
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
            member.customer_id,
            least(stay.sale_date, new.sale_date) as sale_date
        from (select distinct customer_id from sold) as member {{ first_order_that_stays }}
        left join new on member.customer_id = new.customer_id
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
