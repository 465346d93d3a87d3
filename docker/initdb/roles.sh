#!/bin/sh
# The PostgreSQL image runs this once, for an empty volume; later password changes need `alter role`.
# What the roles may do is granted by `loader migrate`.
set -eu
psql --set ON_ERROR_STOP=1 --no-psqlrc --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\getenv loader LOADER_PASSWORD
\getenv transformer TRANSFORMER_PASSWORD
\getenv dashboard DASHBOARD_PASSWORD
\getenv analyst ANALYST_PASSWORD
create role loader login password :'loader';
create role transformer login password :'transformer';
create role dashboard login password :'dashboard';
create role analyst login password :'analyst';
SQL
