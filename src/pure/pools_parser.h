/*-------------------------------------------------------------------------
 *
 * pools_parser.h
 *	  The grammar of the setting pool_monitor.pools.
 *
 *	  value	   = [ pool { ";" pool } [ ";" ] ]
 *	  pool	   = name ":" { key "=" word }		blanks between the pairs
 *	  name	   = word
 *	  word	   = bare | quoted
 *	  quoted   = '"' { character | '""' } '"'	'""' stands for one '"'
 *	  bare	   = one or more characters other than blanks, ";", ":" and '"'
 *				 (a bare name has no "=" either; a bare client may have ":")
 *
 * No blank may stand on either side of "=", so that a forgotten value is never
 * taken from the next pair.  Blanks around ":" and ";" do not matter.
 *
 *	  application, user, database	a shell pattern: "*" matches any text, "?"
 *									one character; all else stands for itself
 *	  client						"local" (Unix socket), an IP address, or a
 *									network as ADDRESS/BITS
 *	  size, overflow				0 to PMON_MAX_POOL_SIZE; not both 0
 *	  instances						1 to PMON_MAX_POOL_SIZE, default 1
 *	  keep_idle, min_idle			0 to PMON_MAX_POOL_SIZE, default 0
 *	  idle_timeout, idle_in_transaction_timeout, max_lifetime
 *									a duration as in any setting of PostgreSQL
 *									(us, ms, s, min, h, d; without a unit ms);
 *									0: never; left out: the global setting
 *	  closes_idle					a duration; 0, or left out: it does not
 *	  terminate						"never": all three of them are 0, and none
 *									of them may be given
 *
 * overflow and instances need a size.  A pool without a size is only a policy.
 *
 * Pure functions; nothing here allocates, locks or raises an error.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_POOLS_PARSER_H
#define PMON_POOLS_PARSER_H

#include "pure/pools.h"

/* Why a value was refused */
typedef struct PmonPoolsError
{
	int			position;		/* where: characters (of UTF-8) from 1; one
								 * past the last at the end of the value */
	char		pool[NAMEDATALEN];	/* in which pool, or empty: in none yet */
	char		key[32];		/* at which key, or empty: at none */
	char		message[256];	/* lower case, without a full stop */
	const char *hint;			/* a full sentence, or NULL */
} PmonPoolsError;

/*
 * How many pools value can declare at most, from 1 to PMON_MAX_POOLS: allocate
 * PMON_POOLS_SIZE() of that and pass it to pmon_pools_parse() as the capacity.
 */
extern Size pmon_pools_count_bound(const char *value);

/*
 * Read value into out, which has room for capacity pools (at least 0).
 *
 * Returns true if value is well formed; out is then complete.  Otherwise
 * returns false, fills *error (which may be NULL) and leaves out with
 * npools = 0.  An empty value is well formed and declares no pool.
 */
extern bool pmon_pools_parse(const char *value, PmonPools *out, int capacity,
							 PmonPoolsError *error);

/*
 * Write an error as one sentence with a full stop, fit for a DETAIL, that names
 * the pool, the key and the position as far as they are known.  The text is
 * cut to size bytes with its terminating zero byte; 512 are always enough.
 */
extern void pmon_pools_error_detail(const PmonPoolsError *error,
									char *buf, Size size);

#endif							/* PMON_POOLS_PARSER_H */
