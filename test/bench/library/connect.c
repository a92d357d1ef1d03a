/*-------------------------------------------------------------------------
 *
 * connect.c
 *	  How many times a second can one connect, or be refused?
 *
 *		connect PROCESSES SECONDS
 *
 * Each of the processes connects and closes the connection, over and over.
 * Writes how many logins succeeded and how many were refused, by second.
 * Where to connect to is libpq's environment.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <libpq-fe.h>

typedef struct Counts
{
	long		succeeded;
	long		refused;
} Counts;

static double
now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static Counts
connect_for(double seconds)
{
	Counts		counts = {0, 0};
	double		end = now() + seconds;

	while (now() < end)
	{
		PGconn	   *connection = PQconnectdb("");

		if (PQstatus(connection) == CONNECTION_OK)
			counts.succeeded++;
		else
			counts.refused++;
		PQfinish(connection);
	}
	return counts;
}

int
main(int argc, char **argv)
{
	int			processes;
	double		seconds;
	int			results[2];
	Counts		sum = {0, 0};

	if (argc != 3 || pipe(results) != 0)
		return 2;
	processes = atoi(argv[1]);
	seconds = atof(argv[2]);

	for (int i = 0; i < processes; i++)
	{
		if (fork() == 0)
		{
			Counts		counts = connect_for(seconds);

			_exit(write(results[1], &counts, sizeof(counts)) != sizeof(counts));
		}
	}
	for (int i = 0; i < processes; i++)
	{
		Counts		counts;

		if (read(results[0], &counts, sizeof(counts)) != sizeof(counts))
			return 1;
		sum.succeeded += counts.succeeded;
		sum.refused += counts.refused;
	}
	while (wait(NULL) > 0)
		;
	printf("%.1f %.1f\n", sum.succeeded / seconds, sum.refused / seconds);
	return 0;
}
