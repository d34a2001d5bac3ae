#!/bin/sh
# Two databases, each owned by a role of its own that can enter no other. The image of PostgreSQL runs this once, on an
# empty volume; compose.yaml mounts it.
set -eu

make() {
    psql --set ON_ERROR_STOP=1 --set role="$1" --set password="$2" --username "$POSTGRES_USER" --dbname postgres <<'SQL'
create role :"role" login password :'password';
create database :"role" owner :"role";
revoke all on database :"role" from public;
SQL
}

make prefect "$PREFECT_SERVER_DATABASE_PASSWORD"
make limner "$LEDGER_PASSWORD"
