/*-------------------------------------------------------------------------
 *
 * pools.c
 *	  Declared pools: what they are, which sessions they take, their status.
 *
 * See pools.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pure/pools.h"

/*
 * A pool that closes what is free looks after it now and then: a fourth later,
 * and ten seconds, is late for any (Npgsql prunes every 10 s).
 */
#define NOTICED_AFTER_PART	4
#define NOTICED_AFTER		INT64CONST(10000000)	/* microseconds */

const char *const pmon_pool_status_names[PMON_POOL_STATUSES] = {
	"healthy", "overflow", "oversized", "exhausted"
};

/*
 * Matching
 */

int
pmon_utf8_length(const char *p)
{
	unsigned char lead = (unsigned char) *p;
	int			expected;
	int			length = 1;

	if (lead == '\0')
		return 0;

	if (lead >= 0xF0)
		expected = 4;
	else if (lead >= 0xE0)
		expected = 3;
	else if (lead >= 0xC0)
		expected = 2;
	else
		expected = 1;

	while (length < expected && (p[length] & 0xC0) == 0x80)
		length++;

	return length;
}

bool
pmon_pattern_match(const char *pattern, const char *str)
{
	const char *after_star = NULL;	/* what follows the last "*" seen */
	const char *star_str = NULL;	/* where the text after it was tried */

	/*
	 * An earlier "*" never needs to be tried again once a later one is
	 * reached: whatever it could take, the later one can take as well.
	 */
	while (*str != '\0')
	{
		if (*pattern == '*')
		{
			after_star = ++pattern;
			star_str = str;
		}
		else if (*pattern == '?')
		{
			pattern++;
			str += pmon_utf8_length(str);
		}
		else if (*pattern == *str)
		{
			pattern++;
			str++;
		}
		else if (after_star != NULL)
		{
			star_str += pmon_utf8_length(star_str);
			pattern = after_star;
			str = star_str;
		}
		else
			return false;
	}

	while (*pattern == '*')
		pattern++;

	return *pattern == '\0';
}

static bool
pattern_holds(bool given, const char *pattern, const char *str)
{
	return !given || (str != NULL && pmon_pattern_match(pattern, str));
}

/* Do all conditions of the pool hold for the session? */
static bool
all_hold(const PmonPool *pool, const PmonPoolSubject *subject)
{
	return pattern_holds(pool->has_application, pool->application,
						 subject->application_name) &&
		pattern_holds(pool->has_user, pool->user, subject->usename) &&
		pattern_holds(pool->has_database, pool->database, subject->datname) &&
		pmon_network_contains(&pool->client, &subject->client);
}

int
pmon_pools_match(const PmonPools *pools, const PmonPoolSubject *subject)
{
	for (int i = 0; i < pools->npools; i++)
	{
		if (all_hold(&pools->pools[i], subject))
			return i;
	}

	return -1;
}

/*
 * Figures
 */

int64
pmon_pool_capacity(const PmonPool *pool)
{
	if (pool->size < 0 || pool->overflow < 0)
		return -1;

	return ((int64) pool->size + pool->overflow) * Max(pool->instances, 0);
}

int64
pmon_pool_overflow(const PmonPool *pool, int64 total)
{
	if (pool->size < 0)
		return 0;

	return Max(total - (int64) pool->size * Max(pool->instances, 0), 0);
}

int64
pmon_pool_claim(const PmonPool *pool, int64 total)
{
	return pool->size < 0 ? 0 : Max(pmon_pool_capacity(pool), total);
}

int64
pmon_pool_free_for(const PmonPool *pool)
{
	if (pool->closes_idle <= 0)
		return -1;
	return pool->closes_idle * (1000 + 1000 / NOTICED_AFTER_PART) + NOTICED_AFTER;
}

int64
pmon_pool_keeps_idle(const PmonPool *pool)
{
	return (int64) pool->min_idle * Max(pool->instances, 1);
}

PmonPoolStatus
pmon_pool_status(const PmonPool *pool, int64 checked_out, int64 total)
{
	int64		capacity = pmon_pool_capacity(pool);

	if (capacity >= 0 && checked_out >= capacity)
		return PMON_POOL_EXHAUSTED;
	if (capacity >= 0 && total > capacity)
		return PMON_POOL_OVERSIZED;
	if (pmon_pool_overflow(pool, total) > 0)
		return PMON_POOL_OVERFLOW;
	return PMON_POOL_HEALTHY;
}
