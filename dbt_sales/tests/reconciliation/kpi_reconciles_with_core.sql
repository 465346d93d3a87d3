{{ kpi_core_differences('all') }}
