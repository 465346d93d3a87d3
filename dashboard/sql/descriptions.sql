select
    class.relname || '.' || attribute.attname as name,
    description.description
from pg_description as description
inner join pg_class as class on class.oid = description.objoid and description.classoid = 'pg_class'::regclass
inner join pg_namespace as namespace on namespace.oid = class.relnamespace
inner join pg_attribute as attribute on attribute.attrelid = class.oid and attribute.attnum = description.objsubid
where namespace.nspname in ('kpi', 'ops') and attribute.attnum > 0
