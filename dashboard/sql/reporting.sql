-- The currency into which all sales can be converted, or the currencies without a rate for some of their days.
select
    reporting_currency,
    coalesce(array_agg(currency order by currency) filter (where not is_convertible), '{}') as without_rate,
    count(*) as currencies
from kpi.kpi_reporting_currencies
group by reporting_currency
