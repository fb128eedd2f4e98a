#!/bin/sh
# Runs once, when the database is made: one role for each service that keeps
# rows. Each makes and owns the schema of its name and sees no other.
set -eu
for role in intake scope notice; do
	psql -v ON_ERROR_STOP=1 -v role="$role" -v password="$(cat "/run/secrets/password_postgres_$role")" \
		--username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE :"role" LOGIN PASSWORD :'password';
GRANT CONNECT, CREATE ON DATABASE tocsin TO :"role";
SQL
done
psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" -c 'REVOKE ALL ON SCHEMA public FROM PUBLIC'
