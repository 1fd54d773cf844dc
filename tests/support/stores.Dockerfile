# Debian's PgBouncer, and a Valkey that speaks TLS, which the wheel's does not.
FROM python:3.13-slim
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends openssl pgbouncer valkey-server \
 && rm -rf /var/lib/apt/lists/*
USER nobody
