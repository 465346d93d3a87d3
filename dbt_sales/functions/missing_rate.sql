begin
    raise exception 'no rate of % to % on %: add one to seeds/currency_rates.csv', currency, reporting_currency, sale_date;
end
