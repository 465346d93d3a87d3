update dashboard.deliveries
set
    error = :error,
    delivered_at = case when cast(:error as text) is null then now() end,
    next_attempt_at = now() + make_interval(secs => cast(:again_seconds as double precision)) -- null: never
where delivery_id = :delivery_id
