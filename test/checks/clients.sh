# shellcheck shell=bash
# clients.sh [NAME...]: what applications see when their pools' sessions are ended
#
# Real pools, with and without the settings that avoid errors: HikariCP,
# node-postgres, postgres.js, psycopg_pool, SQLAlchemy, asyncpg and PgBouncer.
# The results are those of the table in docs/operations.md.  With names, only
# the trials whose names begin with one of them.
#
# needs: build integration/default-jdk-headless libhikaricp-java libpostgresql-jdbc-java libslf4j-java python3-psycopg python3-psycopg-pool

build_extension
"$PG_CONFIG" --version

export CLIENTS=$PMON_WORK/clients
mkdir "$CLIENTS"
cp -r test/checks/clients/. "$CLIENTS"
jars=/usr/share/java
export CLASSPATH=$CLIENTS:$jars/HikariCP.jar:$jars/postgresql.jar:$jars/slf4j-api.jar:$jars/slf4j-nop.jar
javac -d "$CLIENTS" "$CLIENTS/Hikari.java"
(cd "$CLIENTS" && npm install --no-audit --no-fund --no-package-lock --no-update-notifier --loglevel=error pg postgres) >/dev/null

start_server "$PMON_WORK/server" test/checks/clients/server.conf tcp
status=0
/usr/bin/python3 "$CLIENTS/trials.py" "$@" || status=$?
stop_server "$PMON_WORK/server"
exit $status
