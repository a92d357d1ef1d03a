/*-------------------------------------------------------------------------
 *
 * hold.c
 *	  Opens sessions and holds them.
 *
 *		hold APPLICATIONS
 *
 * reads numbers from its standard input, one a line.  It opens sessions until
 * there are that many, and then writes the number.  With the end of its input
 * it is gone, and so are they.  Where to connect to is libpq's environment.
 *
 * The sessions are of so many applications; of each ten, one is in a
 * transaction, one runs a statement and eight are idle.
 *
 *-------------------------------------------------------------------------
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include <libpq-fe.h>

/* So many are opened at once */
#define BATCH	8

static void
fail(PGconn *connection)
{
	fprintf(stderr, "hold: %s", PQerrorMessage(connection));
	exit(1);
}

static PGconn *
start_session(int number, int applications)
{
	char		conninfo[64];
	PGconn	   *connection;

	snprintf(conninfo, sizeof(conninfo), "application_name='application %d'",
			 number % applications);
	connection = PQconnectStart(conninfo);
	if (connection == NULL || PQstatus(connection) == CONNECTION_BAD)
		fail(connection);
	return connection;
}

static void
complete_session(PGconn *connection)
{
	PostgresPollingStatusType status = PGRES_POLLING_WRITING;

	while (status != PGRES_POLLING_OK)
	{
		struct pollfd wait = {PQsocket(connection), POLLIN, 0};

		if (status == PGRES_POLLING_WRITING)
			wait.events = POLLOUT;
		if (poll(&wait, 1, -1) < 0)
			fail(connection);
		status = PQconnectPoll(connection);
		if (status == PGRES_POLLING_FAILED)
			fail(connection);
	}
}

static void
give_work(PGconn *connection, int number)
{
	/* of applications and of states, all combinations: 20 is a multiple of 10 */
	int			kind = (number + number / 20) % 10;
	PGresult   *result;

	if (kind == 1)
	{
		result = PQexec(connection, "BEGIN");
		if (PQresultStatus(result) != PGRES_COMMAND_OK)
			fail(connection);
		PQclear(result);
	}
	else if (kind == 2 && !PQsendQuery(connection, "SELECT pg_sleep(1e6)"))
		fail(connection);
}

int
main(int argc, char **argv)
{
	int			applications = argc > 1 ? atoi(argv[1]) : 20;
	int			opened = 0;
	int			wanted;

	while (scanf("%d", &wanted) == 1)
	{
		while (opened < wanted)
		{
			PGconn	   *batch[BATCH];
			int			n = wanted - opened < BATCH ? wanted - opened : BATCH;

			for (int i = 0; i < n; i++)
				batch[i] = start_session(opened + i, applications);
			for (int i = 0; i < n; i++)
				complete_session(batch[i]);
			for (int i = 0; i < n; i++)
				give_work(batch[i], opened + i);
			opened += n;
		}
		printf("%d\n", opened);
		fflush(stdout);
	}
	return 0;
}
