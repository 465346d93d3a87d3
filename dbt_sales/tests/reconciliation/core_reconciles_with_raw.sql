{{ core_raw_differences('all') }}
