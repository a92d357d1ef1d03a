/*-------------------------------------------------------------------------
 *
 * client.c
 *	  The clients of test/run.sh check load, which count what they do.
 *
 *		client hold SESSIONS		idle sessions
 *		client busy SESSIONS SECONDS
 *									short transactions of all kinds
 *		client logins NUMBER JOBS	sessions that come and go
 *		client names FIRST LAST JOBS
 *									sessions that change their name
 *		client read SECONDS PERIOD FILE
 *									asks what is in the file, all over again
 *
 * Where to connect to is in libpq's environment.  Every session has one of
 * the databases, roles and application names below, so that there are not too
 * many groups to compare.  What was done is written to standard output, one
 * line a group:
 *
 *		database role application sessions abandoned fatal killed rejected
 *		transactions
 *
 * separated by tabs; other lines begin with "#".  "hold" and "busy" write that
 * when they are still, with "# still" after it, hold their sessions until
 * there is a line of standard input, and then write it again; "read" likewise,
 * but once.
 *
 * Any surprise ends the process with status 1.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <libpq-fe.h>

#define lengthof(array) ((int) (sizeof(array) / sizeof((array)[0])))

#define DATABASES	2
#define ROLES		4
#define IDLE_NAMES	20
#define SHARED_NAMES 5

/* One statement of a busy session */
typedef struct Step
{
	const char *sql;
	int			pause;			/* ms after it, on average */
	int			transactions;	/* that end with it */
	const char *sqlstate;		/* of the error that is expected */
	bool		extended;		/* by the extended protocol */
	enum
	{
		KEEP_NAME,
		OWN_NAME,
		SHARED_NAME,			/* %d is the number of a shared name */
		LOCAL_NAME,				/* likewise, for this transaction, */
		LOCAL_NAME_ENDS			/* which ends */
	}			name;
} Step;

typedef struct Kind
{
	const char *name;
	Step		steps[5];		/* up to the one without sql */
} Kind;

static const Kind kinds[] = {
	{"commits", {
			{"BEGIN", 5},
			{"UPDATE numbers SET n = n + 1 WHERE id = %d", 20},
			{"COMMIT", 300,.transactions = 1}
	}},
	{"aborts", {
			{"BEGIN", 5},
			{"UPDATE numbers SET n = n + 1 WHERE id = %d", 20},
			{"ROLLBACK", 300,.transactions = 1}
	}},
	{"single", {
			{"UPDATE numbers SET n = n + 1 WHERE id = %d", 150,.transactions = 1}
	}},
	{"errors", {
			{"SELECT 1 / 0 -- %d", 200,.transactions = 1,.sqlstate = "22012"}
	}},
	{"failed", {
			{"BEGIN", 50},
			{"SELECT 1 / 0 -- %d", 500,.sqlstate = "22012"},
			{"ROLLBACK", 200,.transactions = 1}
	}},
	{"holds", {
			{"BEGIN", 100},
			{"SELECT n FROM numbers WHERE id = %d", 1500},
			{"COMMIT", 200,.transactions = 1}
	}},
	{"extended", {
			{"SELECT n FROM numbers WHERE id = %d", 150,.transactions = 1,.extended = true}
	}},
	{"two phases", {
			{"BEGIN", 20},
			{"UPDATE numbers SET n = n + 1 WHERE id = %d", 20},
			{"PREPARE TRANSACTION 'prepared %d'", 20,.transactions = 1},
			{"COMMIT PREPARED 'prepared %d'", 300,.transactions = 1}
	}},
	{"names", {
			{"SET application_name = 'shared %d'", 200,.transactions = 1,.name = SHARED_NAME},
			{"SELECT %d", 200,.transactions = 1},
			{"RESET application_name", 200,.transactions = 1,.name = OWN_NAME}
	}},
	{"local names", {
			{"BEGIN", 50},
			{"SET LOCAL application_name = 'shared %d'", 300,.name = LOCAL_NAME},
			{"COMMIT", 200,.transactions = 1,.name = LOCAL_NAME_ENDS}
	}},
	{"several", {
			{"SELECT 1; SELECT 2; SELECT %d", 200,.transactions = 1}
	}},
	{"savepoints", {
			{"BEGIN; SAVEPOINT s", 20},
			{"SELECT 1 / 0 -- %d", 100,.sqlstate = "22012"},
			{"ROLLBACK TO SAVEPOINT s", 50},
			{"COMMIT", 200,.transactions = 1}
	}},
	{"procedures", {
			{"DO 'BEGIN FOR i IN 1..3 LOOP COMMIT; END LOOP; END' -- %d", 300,.transactions = 4}
	}},
	{"active", {
			{"SELECT pg_sleep(0.2) -- %d", 200,.transactions = 1}
	}}
};

#define KINDS		lengthof(kinds)
#define LOGINS		(IDLE_NAMES + SHARED_NAMES + KINDS)
#define REFUSED		(LOGINS + 1)
#define NAMES		(LOGINS + 2)

/* What was done in one group */
typedef struct Counts
{
	long		sessions;
	long		abandoned;
	long		fatal;
	long		killed;
	long		rejected;
	long		transactions;
} Counts;

/* What the processes of one client share */
typedef struct Shared
{
	Counts		counts[DATABASES][ROLES][NAMES];
	volatile bool enough;		/* logins: SIGTERM says so */
} Shared;

static Shared *shared;

/* One busy session */
typedef struct Session
{
	PGconn	   *conn;
	int			number;
	int			database;
	int			role;
	int			name;			/* its own application name */
	int			name_now;
	int			name_after;		/* when the transaction has ended */
	const Kind *kind;
	int			step;
	bool		waiting;		/* for the answer to the step */
	double		due;			/* when the step is, else */
} Session;

static void
__attribute__((format(printf, 1, 2), noreturn))
die(const char *format,...)
{
	va_list		arguments;

	va_start(arguments, format);
	fputs("client: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	exit(1);
}

static double
seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static const char *
application(int name)
{
	static char buffer[64];

	if (name < IDLE_NAMES)
		snprintf(buffer, sizeof(buffer), "idle %d", name);
	else if (name < IDLE_NAMES + SHARED_NAMES)
		snprintf(buffer, sizeof(buffer), "shared %d", name - IDLE_NAMES);
	else if (name < LOGINS)
		snprintf(buffer, sizeof(buffer), "busy %s",
				 kinds[name - IDLE_NAMES - SHARED_NAMES].name);
	else
		snprintf(buffer, sizeof(buffer), "logins");
	return buffer;
}

static PGconn *
try_connect(int database, const char *role, const char *application_name)
{
	char		dbname[32];
	const char *keywords[] = {"dbname", "user", "application_name", NULL};
	const char *values[] = {dbname, role, application_name, NULL};

	snprintf(dbname, sizeof(dbname), "load_%d", database);
	return PQconnectdbParams(keywords, values, 0);
}

/* One of our sessions, which is counted. */
static PGconn *
open_session(int database, int role, int name)
{
	PGconn	   *conn;
	char		usename[32];

	snprintf(usename, sizeof(usename), "client_%d", role);
	conn = try_connect(database, usename, application(name));
	if (PQstatus(conn) != CONNECTION_OK)
		die("could not connect: %s", PQerrorMessage(conn));
	__atomic_add_fetch(&shared->counts[database][role][name].sessions, 1, __ATOMIC_RELAXED);
	return conn;
}

static void
execute(PGconn *conn, const char *sql)
{
	PGresult   *result = PQexec(conn, sql);

	if (PQresultStatus(result) != PGRES_COMMAND_OK &&
		PQresultStatus(result) != PGRES_TUPLES_OK)
		die("%s: %s", sql, PQerrorMessage(conn));
	PQclear(result);
}

static void
print_group(const char *database, const char *role, const char *name, const Counts *group)
{
	printf("%s\t%s\t%s\t%ld\t%ld\t%ld\t%ld\t%ld\t%ld\n", database, role, name,
		   group->sessions, group->abandoned, group->fatal, group->killed,
		   group->rejected, group->transactions);
}

static void
print_counts(void)
{
	for (int database = 0; database < DATABASES; database++)
	{
		for (int role = 0; role < ROLES; role++)
		{
			for (int name = 0; name < NAMES; name++)
			{
				char		datname[32];
				char		usename[32];
				Counts	   *group = &shared->counts[database][role][name];

				if (group->sessions == 0 && group->rejected == 0 &&
					group->transactions == 0)
					continue;
				snprintf(datname, sizeof(datname), "load_%d", database);
				snprintf(usename, sizeof(usename), name == REFUSED ? "refused" : "client_%d", role);
				print_group(datname, usename, application(name), group);
			}
		}
	}
	fflush(stdout);
}

/* Say that nothing moves, and wait until we are told to go. */
static void
be_still(void)
{
	char		byte;

	print_counts();
	puts("# still");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) < 0 && errno == EINTR)
		;
}

static void
hold(int n)
{
	PGconn	  **conns = calloc(n, sizeof(PGconn *));

	for (int i = 0; i < n; i++)
	{
		int			database = i % DATABASES;
		int			role = i / DATABASES % ROLES;
		int			name = i / (DATABASES * ROLES) % (LOGINS + 1);

		conns[i] = open_session(database, role, name);
		execute(conns[i], "SELECT 1");
		shared->counts[database][role][name].transactions++;
	}
	be_still();
	for (int i = 0; i < n; i++)
		PQfinish(conns[i]);
}

/*
 * Busy sessions
 */
static void
send_step(Session *session)
{
	const Step *step = &session->kind->steps[session->step];
	char		sql[128];
	bool		is_shared = step->name == SHARED_NAME || step->name == LOCAL_NAME;
	int			number = is_shared ? rand() % SHARED_NAMES : session->number;
	int			sent;

	/* The formats are ours, with one %d at most. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(sql, sizeof(sql), step->sql, number);
#pragma GCC diagnostic pop
	if (is_shared)
		session->name_now = IDLE_NAMES + number;
	else if (step->name == OWN_NAME)
		session->name_now = session->name;
	if (step->name == SHARED_NAME || step->name == OWN_NAME)
		session->name_after = session->name_now;

	if (step->extended)
		sent = PQsendQueryParams(session->conn, sql, 0, NULL, NULL, NULL, NULL, 0);
	else
		sent = PQsendQuery(session->conn, sql);
	if (!sent)
		die("%s: %s", sql, PQerrorMessage(session->conn));
	session->waiting = true;
}

/* Has the step been answered?  Then count it and plan the next one. */
static void
finish_step(Session *session, double now)
{
	const Step *step = &session->kind->steps[session->step];
	PGresult   *result;

	if (!PQconsumeInput(session->conn))
		die("%s: %s", step->sql, PQerrorMessage(session->conn));
	if (PQisBusy(session->conn))
		return;

	while ((result = PQgetResult(session->conn)) != NULL)
	{
		const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

		if (strcmp(sqlstate ? sqlstate : "", step->sqlstate ? step->sqlstate : "") != 0)
			die("%s: %s", step->sql, PQerrorMessage(session->conn));
		PQclear(result);
	}

	/* it counts for the name in force at its end */
	shared->counts[session->database][session->role][session->name_now].transactions += step->transactions;
	if (step->name == LOCAL_NAME_ENDS)
		session->name_now = session->name_after;

	session->waiting = false;
	session->due = now + step->pause * (0.5 + (double) rand() / RAND_MAX) / 1000;
	session->step++;
	if (session->step == lengthof(session->kind->steps) ||
		session->kind->steps[session->step].sql == NULL)
		session->step = 0;
}

/* Let the sessions go on until that time, and wait for the last answers. */
static void
drive(Session *sessions, int n, double until)
{
	struct pollfd *fds = calloc(n, sizeof(struct pollfd));
	bool		more = true;

	while (more)
	{
		double		now = seconds();
		double		next = now + 1;

		more = now < until;
		for (int i = 0; i < n; i++)
		{
			Session    *session = &sessions[i];

			if (!session->waiting && now < until)
			{
				if (session->due <= now)
					send_step(session);
				else if (session->due < next)
					next = session->due;
			}
			more |= session->waiting;
			fds[i].fd = session->waiting ? PQsocket(session->conn) : -1;
			fds[i].events = POLLIN;
			if (session->waiting && PQflush(session->conn) > 0)
				fds[i].events |= POLLOUT;
		}
		if (poll(fds, n, (int) ((next - now) * 1000) + 1) < 0 && errno != EINTR)
			die("poll: %s", strerror(errno));
		now = seconds();
		for (int i = 0; i < n; i++)
		{
			if (fds[i].fd >= 0 && fds[i].revents != 0)
				finish_step(&sessions[i], now);
		}
	}
	free(fds);
}

static void
busy(int n, double duration)
{
	Session    *sessions = calloc(n, sizeof(Session));

	for (int i = 0; i < n; i++)
	{
		Session    *session = &sessions[i];

		session->number = i;
		session->database = i / KINDS % DATABASES;
		session->role = i / KINDS / DATABASES % ROLES;
		session->name = IDLE_NAMES + SHARED_NAMES + i % KINDS;
		session->name_now = session->name_after = session->name;
		session->kind = &kinds[i % KINDS];
		session->conn = open_session(session->database, session->role, session->name);
		PQsetnonblocking(session->conn, 1);
	}
	drive(sessions, n, seconds() + duration);
	be_still();

	for (int i = 0; i < n; i++)
	{
		Session    *session = &sessions[i];

		/*
		 * The server ends a transaction, and takes SET LOCAL back before it
		 * counts.  After one that wrote, its own session time stands still
		 * until the next one begins.
		 */
		if (PQtransactionStatus(session->conn) == PQTRANS_IDLE)
		{
			execute(session->conn, "SELECT 1");
			shared->counts[session->database][session->role][session->name_now].transactions++;
		}
		else
			shared->counts[session->database][session->role][session->name_after].transactions++;
		PQfinish(session->conn);
	}
}

/*
 * Sessions that come and go
 */

static long
logins_so_far(void)
{
	long		sum = 0;

	for (int database = 0; database < DATABASES; database++)
	{
		for (int role = 0; role < ROLES; role++)
			sum += shared->counts[database][role][LOGINS].sessions;
	}
	return sum;
}

/* By each job, the first ones: all in one incident */
#define REFUSED_LOGINS	10

static void
wait_for_eof(PGconn *conn)
{
	char		buffer[1024];

	while (recv(PQsocket(conn), buffer, sizeof(buffer), 0) > 0)
		;
}

static void
log_in_once(long i, bool refuse)
{
	int			database = i % DATABASES;
	int			role = i / DATABASES % ROLES;
	Counts	   *group = &shared->counts[database][role][LOGINS];
	PGconn	   *conn;

	if (refuse)
	{
		conn = try_connect(database, "refused", application(LOGINS));
		if (PQstatus(conn) == CONNECTION_OK ||
			strstr(PQerrorMessage(conn), "too many connections for role") == NULL)
			die("not refused: %s", PQerrorMessage(conn));
		PQfinish(conn);
		__atomic_add_fetch(&shared->counts[database][0][REFUSED].rejected, 1, __ATOMIC_RELAXED);
		return;
	}

	conn = open_session(database, role, LOGINS);
	__atomic_add_fetch(&group->transactions, 1, __ATOMIC_RELAXED);
	switch (i % 100)
	{
		case 97:				/* the client vanishes */
			execute(conn, "SELECT 1");
			shutdown(PQsocket(conn), SHUT_RDWR);
			__atomic_add_fetch(&group->abandoned, 1, __ATOMIC_RELAXED);
			break;
		case 98:				/* what it says is no message */
			execute(conn, "SELECT 1");
			if (send(PQsocket(conn), "?\0\0\0\4", 5, 0) != 5)
				die("send: %s", strerror(errno));
			wait_for_eof(conn);
			__atomic_add_fetch(&group->fatal, 1, __ATOMIC_RELAXED);
			break;
		case 99:				/* somebody ends it */
			PQclear(PQexec(conn, "SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(60)"));
			if (PQstatus(conn) == CONNECTION_OK)
				die("not terminated");
			__atomic_add_fetch(&group->killed, 1, __ATOMIC_RELAXED);
			break;
		default:
			execute(conn, "SELECT 1");
	}
	PQfinish(conn);
}

/*
 * Sessions that change their name
 */

/* Memory of its own of a server process, in kB */
static long
anonymous(int pid)
{
	char		path[64];
	char		line[256];
	long		kb = -1;
	FILE	   *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "r");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		sscanf(line, "RssAnon: %ld", &kb);
	if (file != NULL)
		fclose(file);
	return kb;
}

#define NAMES_AT_ONCE	100

/* Names first to last, in pipelines; each is a transaction. */
static void
change_names(int job, long first, long last)
{
	PGconn	   *conn = try_connect(job % DATABASES, "stormer", "storm");
	char		name[128];
	const char *values[] = {name};
	long		kb = 0;

	if (PQstatus(conn) != CONNECTION_OK || !PQenterPipelineMode(conn))
		die("could not connect: %s", PQerrorMessage(conn));

	for (long batch = first; batch <= last; batch += NAMES_AT_ONCE)
	{
		long		end = batch + NAMES_AT_ONCE - 1 < last ? batch + NAMES_AT_ONCE - 1 : last;

		for (long i = batch; i <= end; i++)
		{
			/*
			 * of all lengths, with what is special in SQL, JSON, metrics,
			 * HTML
			 */
			snprintf(name, sizeof(name), "storm %ld \"'\\{}<>;%.*s", i, (int) (i % 40),
					 "=abcdefghijklmnopqrstuvwxyz%sABCDEFGHIJKLMNOPQRSTUVWXYZ");
			if (!PQsendQueryParams(conn, "SELECT set_config('application_name', $1, false)",
								   1, NULL, values, NULL, NULL, 0) ||
				!PQpipelineSync(conn))
				die("could not send: %s", PQerrorMessage(conn));
		}
		for (long i = batch; i <= end; i++)
		{
			PGresult   *result = PQgetResult(conn);

			if (PQresultStatus(result) != PGRES_TUPLES_OK)
				die("set_config: %s", PQerrorMessage(conn));
			PQclear(result);
			PQclear(PQgetResult(conn));
			result = PQgetResult(conn);
			if (PQresultStatus(result) != PGRES_PIPELINE_SYNC)
				die("no end of a pipeline: %s", PQerrorMessage(conn));
			PQclear(result);
		}
		if (kb == 0)
			kb = anonymous(PQbackendPID(conn));
	}
	printf("# a session grew by %ld kB in %ld names, from %ld kB\n",
		   anonymous(PQbackendPID(conn)) - kb, last - first + 1, kb);
	PQfinish(conn);
}

static void
print_names(long n, int jobs)
{
	for (int database = 0; database < DATABASES; database++)
	{
		char		datname[32];
		Counts		group = {0};

		snprintf(datname, sizeof(datname), "load_%d", database);
		for (int job = database; job < jobs; job += DATABASES)
		{
			group.sessions++;
			group.transactions += n * (job + 1) / jobs - n * job / jobs;
		}
		print_group(datname, "stormer", "storm", &group);
	}
	fflush(stdout);
}

static void
have_enough(int signal_number)
{
	(void) signal_number;
	shared->enough = true;
}

/* Share the work among so many processes. */
static void
in_jobs(long from, long to, int jobs, bool names)
{
	long		n = to - from + 1;
	double		start = seconds();
	int			status;

	fflush(stdout);
	signal(SIGTERM, have_enough);
	for (int job = 0; job < jobs; job++)
	{
		long		first = from + n * job / jobs;
		long		last = from + n * (job + 1) / jobs - 1;
		pid_t		pid = fork();

		if (pid < 0)
			die("fork: %s", strerror(errno));
		if (pid > 0)
			continue;
		if (names)
			change_names(job, first, last);
		else
		{
			for (long i = first; i <= last && !shared->enough; i++)
				log_in_once(i, i - first < REFUSED_LOGINS);
		}
		exit(0);
	}
	for (int job = 0; job < jobs; job++)
	{
		if (wait(&status) < 0 || status != 0)
			die("a job has failed");
	}
	if (!names)
		n = logins_so_far();
	printf("# %ld %s in %.1f s\n", n, names ? "names" : "logins", seconds() - start);
}

/*
 * Dashboards
 */

/* What must not grow may do so in the first rounds, or by so much */
#define SETTLED_AFTER	5
#define MAX_GROWTH		100000

/* A line of the file: a mark, a label, a tab, and a statement */
typedef struct Question
{
	char		mark;			/* '!': the answer must be true, '+': must not
								 * decrease, '=': must not grow after the
								 * first rounds, '?': is only read */
	char		label[64];
	char		sql[2000];
	long		runs;
	double		time_sum;
	double		time_max;
	double		last;			/* the answer, as a number */
	double		settled;		/* the one after the first rounds */
} Question;

static void
ask(PGconn *conn, Question *question)
{
	double		start = seconds();
	PGresult   *result = PQexec(conn, question->sql);
	double		time = (seconds() - start) * 1000;
	const char *answer;

	if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1)
		die("%s: %s", question->sql, PQerrorMessage(conn));
	answer = PQgetvalue(result, 0, 0);
	if (question->mark == '!' && strcmp(answer, "t") != 0)
		die("%s: not so", question->label);
	if (question->mark == '+' && atof(answer) < question->last)
		die("%s: went from %.0f to %s", question->label, question->last, answer);
	question->runs++;
	if (question->mark == '=' && question->runs > SETTLED_AFTER &&
		atof(answer) > question->settled + MAX_GROWTH)
		die("%s: grew from %.0f to %s", question->label, question->settled, answer);
	if (question->runs == SETTLED_AFTER)
		question->settled = atof(answer);
	question->last = atof(answer);
	PQclear(result);

	question->time_sum += time;
	question->time_max = time > question->time_max ? time : question->time_max;
}

static void
read_all(double duration, double period, const char *path)
{
	static Question questions[100];
	int			n = 0;
	long		rounds = 0;
	double		until = seconds() + duration;
	PGconn	   *conn = PQconnectdb("dbname=dashboards user=viewer application_name=dashboards");
	FILE	   *file = fopen(path, "r");
	Counts		group = {.sessions = 1};

	if (PQstatus(conn) != CONNECTION_OK)
		die("could not connect: %s", PQerrorMessage(conn));
	if (file == NULL)
		die("%s: %s", path, strerror(errno));
	while (n < lengthof(questions) &&
		   fscanf(file, "%c%63[^\t]\t%1999[^\n]\n", &questions[n].mark,
				  questions[n].label, questions[n].sql) == 3)
		n++;
	if (n == 0 || !feof(file))
		die("%s: not as expected after %d questions", path, n);
	fclose(file);

	while (seconds() < until)
	{
		double		next = seconds() + period;

		for (int i = 0; i < n; i++)
			ask(conn, &questions[i]);
		rounds++;
		while (seconds() < next && seconds() < until)
			usleep(100 * 1000);
	}
	for (int i = 0; i < n; i++)
	{
		printf("# %-28s mean %8.2f ms, longest %8.2f ms\n", questions[i].label,
			   questions[i].time_sum / questions[i].runs, questions[i].time_max);
		group.transactions += questions[i].runs;
	}
	for (int i = 0; i < n; i++)
	{
		if (questions[i].mark == '=')
			printf("# %s: %.0f, and in the end %.0f\n", questions[i].label,
				   questions[i].settled, questions[i].last);
	}
	printf("# %ld rounds of %d questions\n", rounds, n);
	print_group("dashboards", "viewer", "dashboards", &group);
	be_still();
	PQfinish(conn);
}

int
main(int argc, char **argv)
{
	const char *mode = argc > 2 ? argv[1] : "";

	shared = mmap(NULL, sizeof(Shared), PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	setvbuf(stdout, NULL, _IOLBF, 0);

	if (strcmp(mode, "hold") == 0)
		hold(atoi(argv[2]));
	else if (strcmp(mode, "busy") == 0 && argc == 4)
		busy(atoi(argv[2]), atof(argv[3]));
	else if (strcmp(mode, "logins") == 0 && argc == 4)
		in_jobs(0, atol(argv[2]) - 1, atoi(argv[3]), false);
	else if (strcmp(mode, "names") == 0 && argc == 5)
	{
		in_jobs(atol(argv[2]), atol(argv[3]), atoi(argv[4]), true);
		print_names(atol(argv[3]) - atol(argv[2]) + 1, atoi(argv[4]));
	}
	else if (strcmp(mode, "read") == 0 && argc == 5)
		read_all(atof(argv[2]), atof(argv[3]), argv[4]);
	else
		die("what should I do?");

	if (strcmp(mode, "names") != 0 && strcmp(mode, "read") != 0)
		print_counts();
	return 0;
}
