#!/bin/sh
# Run once by the image of PostgreSQL, on an empty volume: a role and a database of its own for each service.
set -eu

create() { # NAME PASSWORD
  # From the environment, because everybody on the machine may read a command line.
  ROLE=$1 ROLE_PASSWORD=$2 psql --quiet --no-psqlrc --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname=postgres <<'END'
\getenv role ROLE
\getenv password ROLE_PASSWORD
CREATE ROLE :"role" LOGIN PASSWORD :'password';
CREATE DATABASE :"role" OWNER :"role";
-- Or every role could enter every database.
REVOKE CONNECT ON DATABASE :"role" FROM PUBLIC;
END
}

: "${POSTGRES_USER:=postgres}"
create latchkey_auth "${AUTH_DATABASE_PASSWORD:?is required}"
create latchkey_users "${USERS_DATABASE_PASSWORD:?is required}"
