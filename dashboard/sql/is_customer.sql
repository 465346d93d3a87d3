-- As the sheet has it, or with the name of its feed before it.
select exists(
    select from kpi.kpi_customers where customer_id = :number or customer_id like :feed_and_number
) as found
