-- Columns without a default, and a constraint that is not asked of rows that were there: the table is neither rewritten nor
-- read, however large it is. Those rows have a price and no total.
alter table raw.sales_lines add column if not exists line_total numeric; -- what the line comes to after discount
alter table raw.sales_lines add column if not exists line_cost numeric; -- of the whole quantity
alter table raw.sales_lines alter column unit_price drop not null;
alter table raw.sales_lines drop constraint if exists sales_lines_price_or_total;
alter table raw.sales_lines add constraint sales_lines_price_or_total check (
    (unit_price is null) <> (line_total is null)
) not valid;
comment on constraint sales_lines_price_or_total on raw.sales_lines is
'Prevents a line that is worth nothing known, and one of which two amounts could count.';

-- A sheet that states totals has no unit price, and no published table may want one: otherwise its first run would fail.
do $$
declare
    described regclass;
begin
    for described in
        select relation
        from unnest(array[to_regclass('core.fct_sales_lines'), to_regclass('core.dim_products')]) as relation
        where relation is not null
    loop
        execute format('alter table %s alter column unit_price drop not null', described);
    end loop;
end
$$;
