/*-------------------------------------------------------------------------
 *
 * diagnosis.h
 *	  What is wrong with the connections: rules over facts.
 *
 * Each rule is a function that looks at the facts and adds what it finds, with
 * the figures that decide.  Rules about sessions and the server look at one
 * moment: now, or the peak of an incident that is over.  Rules do not know of
 * each other; what explains what is decided afterwards, in pmon_conclude().
 *
 * Pure functions; nothing here allocates, locks or raises an error.  Names in
 * the facts are as clients sent them.  Durations are in seconds.
 *
 * What is a guess: where sessions are idle outside of transactions, the server
 * can not see whether a client's pool has them out.  The rule about that
 * (leak_not_returned) starts from how pools with an overflow behave, and its
 * evidence says so.  The thresholds are conventions; they stand where they are
 * used, most of them as fractions of the limit that is at stake.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_DIAGNOSIS_H
#define PMON_DIAGNOSIS_H

#include "pure/findings.h"

/* What is not known */
#define PMON_UNKNOWN		(-1)

/* What a session does with its connection */
typedef enum PmonUse
{
	PMON_USE_STARTING,
	PMON_USE_IDLE,
	PMON_USE_BUSY,				/* runs a statement */
	PMON_USE_IN_TRANSACTION,	/* idle in it */
	PMON_USE_ABORTED,			/* likewise */
	PMON_USE_CLIENT,			/* its statement waits for the client */
	PMON_USE_LOCK,				/* its statement waits for a lock */
	PMON_USE_NOT_RETURNED,		/* idle, but a free one would be closed */
	PMON_USE_DISABLED			/* nobody knows */
} PmonUse;

/* Sessions of one application and pool that do the same */
typedef struct PmonUseFacts
{
	char		application_name[NAMEDATALEN];
	int			pool;			/* in the facts, or -1 */
	PmonUse		use;
	int			sessions;
	int			settled;		/* that have done so for a while */
	int			aged;			/* that have done so for leak_threshold */
	int			deliberate;		/* of the aged, those that have said that they
								 * must not be ended for it */
	double		oldest;			/* for how long they have */
	double		newest;			/* of the settled */
	int			pid;			/* of the oldest, or PMON_UNKNOWN */
	char		usename[NAMEDATALEN];	/* likewise */
	char		datname[NAMEDATALEN];
} PmonUseFacts;

/* Who others wait for, and does not wait itself */
typedef struct PmonRootFacts
{
	int			pid;
	char		application_name[NAMEDATALEN];
	char		usename[NAMEDATALEN];
	PmonUse		use;
	double		age;			/* since when it does that */
	int			blocks;			/* that wait for it, directly or not */
	double		longest_wait;	/* of these, or PMON_UNKNOWN */
} PmonRootFacts;

/* A prepared transaction that is old, or that others wait for */
typedef struct PmonPreparedFacts
{
	char		gid[PMON_SUBJECT_BYTES];
	char		usename[NAMEDATALEN];
	char		datname[NAMEDATALEN];
	double		age;
	int			blocks;
} PmonPreparedFacts;

/* How the connections were used at one moment */
typedef struct PmonMoment
{
	char		incident[128];	/* which it is of; empty: it is now */
	bool		exhausted;
	int			connections;
	int			nuses;
	PmonUseFacts *uses;
	int			nroots;
	PmonRootFacts *roots;
} PmonMoment;

/* A declared pool, now and in the time that was asked for */
typedef struct PmonPoolFacts
{
	char		name[NAMEDATALEN];
	int64		capacity;		/* PMON_UNKNOWN: a mere policy */
	int			size;			/* in one instance, with its overflow */
	int64		kept;			/* in all instances, without the overflow */
	int			instances;
	int			clients;		/* different addresses that are seen */
	int			connections;
	int			checked_out;
	int			held_idle;		/* of these, idle and proven to be out */
	int			idle_aged;		/* idle for leak_threshold */
	int			idle_expired;	/* idle for longer than a free one, and that */
	double		closes_idle;	/* or PMON_UNKNOWN */
	int64		keeps_idle;		/* of these, however long */
	double		silent;			/* since when no session did anything */

	/* from the history; transactions is 0 where there is none */
	int64		transactions;
	double		rate;			/* a second, in the busiest minute */
	double		hold_mean;
	double		full_fraction;	/* of the fullest minute; negative: unknown */
	int			p99_checked_out;	/* or PMON_UNKNOWN; so are the next two */
	int			peak_checked_out;
	int			recommended;	/* for one instance */
	bool		saturated;

	int64		ended_checked_out;	/* that we ended and its client had out */
	double		ended_ago;		/* or PMON_UNKNOWN */
} PmonPoolFacts;

/* Logins that were refused since somewhen, of one kind */
typedef struct PmonRefusedFacts
{
	char		name[NAMEDATALEN];	/* of application, role or database */
	int64		rejected;		/* since the last reset */
	double		last_ago;
} PmonRefusedFacts;

/* An application whose sessions come and go */
typedef struct PmonChurnFacts
{
	char		application_name[NAMEDATALEN];
	int64		sessions;		/* that have ended */
	int64		transactions;
	double		seconds;		/* that this was counted in */
	double		session_mean;	/* how long they lasted */
} PmonChurnFacts;

/* What keeps us from seeing */
typedef struct PmonSightFacts
{
	bool		preloaded;
	bool		worker;			/* there is one, */
	double		sample_ago;		/* and this is when it last sampled */
	double		sample_interval;
	int			disabled;		/* sessions without a state */
	bool		logs_fatal;		/* log_min_messages lets refusals through */
	bool		track_transactions;
	int			hidden;			/* sessions that the reader may not see */
	bool		all;			/* may the reader see everybody's? */
} PmonSightFacts;

#define PMON_MAX_MOMENTS		4
#define PMON_MAX_PREPARED_FACTS	8
#define PMON_MAX_REFUSED_FACTS	8
#define PMON_MAX_CHURN_FACTS	4

typedef struct PmonFacts
{
	/* settings and limits */
	double		leak_threshold;
	int			warning_threshold;	/* percent */
	int			critical_threshold;
	int			slots;			/* for ordinary roles */
	int			max_connections;
	double		since;			/* how far back was looked */

	int			nmoments;
	PmonMoment	moments[PMON_MAX_MOMENTS];	/* the first is now */
	int			npools;
	PmonPoolFacts *pools;
	int64		claimed;		/* by the pools, and connections in none */
	int			nprepared;
	PmonPreparedFacts prepared[PMON_MAX_PREPARED_FACTS];
	int			nroles;
	PmonRefusedFacts roles[PMON_MAX_REFUSED_FACTS];
	int			ndatabases;
	PmonRefusedFacts databases[PMON_MAX_REFUSED_FACTS];
	int			nchurn;
	PmonChurnFacts churn[PMON_MAX_CHURN_FACTS];

	/* refused since then, by whatever limit, and in the worst second or so */
	int64		rejected;
	int64		rejected_by_server;
	double		rejected_rate;
	char		rejected_application[NAMEDATALEN];	/* most; empty: unknown */
	double		utilization_max;	/* negative: no history was read */

	PmonSightFacts sight;
} PmonFacts;

/*
 * A while: from then on a session that is idle in a transaction, or logs in, is
 * not just between two statements.
 */
extern double pmon_settling_time(double leak_threshold);

/* Find all that there is to find, in order.  There is at least one finding. */
extern void pmon_diagnose(const PmonFacts *facts, PmonFindings *findings);

#endif							/* PMON_DIAGNOSIS_H */
