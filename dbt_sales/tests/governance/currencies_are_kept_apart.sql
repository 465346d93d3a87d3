-- A mart with money has its currency in its grain, or it adds up what cannot be added.
select mart
from unnest(array{{ marts_that_mix_currencies() }}::text []) as mart
