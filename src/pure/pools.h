/*-------------------------------------------------------------------------
 *
 * pools.h
 *	  Declared pools: what they are, which sessions they take, their status.
 *
 * Everything here is a pure function over plain structs: nothing raises an
 * error, allocates, takes a lock or looks into a catalog, so that the same
 * code runs in a check hook, in the worker and in a stand-alone unit test.
 * pools_parser.h reads them from the setting.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_POOLS_H
#define PMON_POOLS_H

#include "pure/client_network.h"

/* The most pools that one setting can declare */
#define PMON_MAX_POOLS			100

/*
 * The largest size, overflow, instances, keep_idle and min_idle: MAX_BACKENDS,
 * since no server takes more connections than that.
 */
#define PMON_MAX_POOL_SIZE		262143

/* Room for a pattern with its terminating zero byte */
#define PMON_PATTERN_LEN		(NAMEDATALEN * 2)

/* Room for "client" as written, with its terminating zero byte */
#define PMON_CLIENT_LEN			64

/* One declared pool.  Unused bytes are zero, so that memcmp() can compare. */
typedef struct PmonPool
{
	char		name[NAMEDATALEN];

	/* Conditions; one that was not given holds for every session */
	bool		has_application;
	bool		has_user;
	bool		has_database;
	char		application[PMON_PATTERN_LEN];
	char		user[PMON_PATTERN_LEN];
	char		database[PMON_PATTERN_LEN];
	PmonNetwork client;			/* kind PMON_CLIENT_UNKNOWN: not given */
	char		client_text[PMON_CLIENT_LEN];	/* as written, or empty */

	int			size;			/* connections that an instance keeps; -1: not
								 * given, the pool is only a policy */
	int			overflow;		/* connections that an instance may add */
	int			instances;		/* processes that hold such a pool each */

	/* Milliseconds; -1: not given, the global setting; 0: never */
	int64		idle_timeout;
	int64		idle_in_transaction_timeout;
	int64		max_lifetime;

	int			keep_idle;		/* idle sessions that are never ended */

	/*
	 * What the client's own pool does: it closes a connection that nobody has
	 * had for so long, in milliseconds (-1: not given, 0: never), but for so
	 * many in each instance
	 */
	int64		closes_idle;
	int			min_idle;
} PmonPool;

/* All declared pools, in the order of the setting; one flat block of memory */
typedef struct PmonPools
{
	int			npools;
	PmonPool	pools[FLEXIBLE_ARRAY_MEMBER];
} PmonPools;

/* Bytes of a PmonPools with room for n pools */
#define PMON_POOLS_SIZE(n)	(offsetof(PmonPools, pools) + (n) * sizeof(PmonPool))

/* What matching needs to know of a session; a NULL name matches no pattern */
typedef struct PmonPoolSubject
{
	const char *application_name;
	const char *usename;
	const char *datname;
	PmonClient	client;
} PmonPoolSubject;

typedef enum PmonPoolStatus
{
	PMON_POOL_HEALTHY,
	PMON_POOL_OVERFLOW,
	PMON_POOL_OVERSIZED,
	PMON_POOL_EXHAUSTED
} PmonPoolStatus;

#define PMON_POOL_STATUSES	(PMON_POOL_EXHAUSTED + 1)

/*
 * Matching
 */

/*
 * Bytes of the UTF-8 sequence at p: at most as many as the string has, 1 where
 * there is no sequence, 0 at the terminating zero byte.
 */
extern int	pmon_utf8_length(const char *p);

/*
 * Does str match a shell pattern with "*" and "?" as a whole?
 *
 * "?" matches one UTF-8 sequence, or one byte where there is none; upper and
 * lower case differ.  Takes at most the product of both lengths in steps.
 */
extern bool pmon_pattern_match(const char *pattern, const char *str);

/*
 * The index of the first pool whose conditions all hold for the session, as in
 * pg_hba.conf, or -1.
 */
extern int	pmon_pools_match(const PmonPools *pools,
							 const PmonPoolSubject *subject);

/*
 * Figures
 *
 * They need size, overflow and instances of a pool.  A negative size means that
 * none is declared, and a negative overflow that there is no limit (as
 * SQLAlchemy has it).  No value of these can make a figure overflow.
 */

/* (size + overflow) * instances, or -1 if there is no size or no limit */
extern int64 pmon_pool_capacity(const PmonPool *pool);

/*
 * How many of total connections are beyond size * instances, at least 0; 0 if
 * there is no size.
 */
extern int64 pmon_pool_overflow(const PmonPool *pool, int64 total);

/*
 * The connections that the server must have for a pool: its capacity, or what
 * it has opened where that is more, as during a rolling deploy; 0 without a
 * size.
 */
extern int64 pmon_pool_claim(const PmonPool *pool, int64 total);

/*
 * For how long, in microseconds, a connection that is free may be idle before the
 * pool has closed it, with some time for the pool to notice; beyond that, it is not
 * free.  -1 where the pool does not say that it closes any.
 */
extern int64 pmon_pool_free_for(const PmonPool *pool);

/* How many may be idle for longer all the same: those that it keeps */
extern int64 pmon_pool_keeps_idle(const PmonPool *pool);

/*
 * Exhausted if checked_out has reached the capacity, else oversized if total is
 * beyond it, else overflow if total is beyond size * instances, else healthy;
 * healthy if there is no size.
 */
extern PmonPoolStatus pmon_pool_status(const PmonPool *pool, int64 checked_out,
									   int64 total);

/* The word that users see: healthy, overflow, oversized or exhausted */
extern const char *const pmon_pool_status_names[PMON_POOL_STATUSES];

#endif							/* PMON_POOLS_H */
