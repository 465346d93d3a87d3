{{ config(severity='warn') }}
-- A day may well be unusual, but somebody should have looked whether a sheet is missing or has come twice.
with days as (
    select * from {{ ref('kpi_volume_anomalies') }}
)

select *
from days
where is_anomaly and sale_date = (select max(newest.sale_date) from days as newest)
