/*-------------------------------------------------------------------------
 *
 * pools.c
 *	  Declared pools: what they are, which sessions they take, their status.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pure/duration.h"
#include "pure/pools.h"

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

bool
pmon_pool_match(const PmonPool *pool, const PmonPoolSubject *subject)
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
		if (pmon_pool_match(&pools->pools[i], subject))
			return i;
	}

	return -1;
}

/*
 * Figures
 */

int64
pmon_pool_capacity(int size, int max_overflow, int instances)
{
	if (size < 0 || max_overflow < 0)
		return -1;

	return ((int64) size + max_overflow) * Max(instances, 0);
}

int64
pmon_pool_overflow(int size, int instances, int64 total)
{
	if (size < 0)
		return 0;

	return Max(total - (int64) size * Max(instances, 0), 0);
}

PmonPoolStatus
pmon_pool_status(int size, int max_overflow, int instances,
				 int64 checked_out, int64 total)
{
	int64		capacity = pmon_pool_capacity(size, max_overflow, instances);

	if (capacity >= 0 && checked_out >= capacity)
		return PMON_POOL_EXHAUSTED;
	if (pmon_pool_overflow(size, instances, total) > 0)
		return PMON_POOL_OVERFLOW;
	return PMON_POOL_HEALTHY;
}

const char *
pmon_pool_status_name(PmonPoolStatus status)
{
	switch (status)
	{
		case PMON_POOL_OVERFLOW:
			return "overflow";
		case PMON_POOL_EXHAUSTED:
			return "exhausted";
		case PMON_POOL_HEALTHY:
			break;
	}
	return "healthy";
}

/*
 * Writing
 */

/* A text that grows in a buffer of fixed size, and counts what did not fit */
typedef struct PoolText
{
	char	   *buf;
	Size		size;
	Size		length;
} PoolText;

static void
append_char(PoolText *dest, char c)
{
	if (dest->length + 1 < dest->size)
		dest->buf[dest->length] = c;
	dest->length++;
}

static void
append_string(PoolText *dest, const char *string)
{
	while (*string != '\0')
		append_char(dest, *string++);
}

/* Write a name or a pattern, in quotes where it could be read otherwise. */
static void
append_word(PoolText *dest, const char *word)
{
	if (*word != '\0' && strpbrk(word, " \t\n\v\f\r;:=\"") == NULL)
	{
		append_string(dest, word);
		return;
	}

	append_char(dest, '"');
	for (const char *p = word; *p != '\0'; p++)
	{
		if (*p == '"')
			append_char(dest, '"');
		append_char(dest, *p);
	}
	append_char(dest, '"');
}

static void
append_key(PoolText *dest, const char *key)
{
	append_char(dest, ' ');
	append_string(dest, key);
	append_char(dest, '=');
}

static void
append_pattern(PoolText *dest, const char *key, bool given,
			   const char *pattern)
{
	if (!given)
		return;

	append_key(dest, key);
	append_word(dest, pattern);
}

/* Write a whole number unless it is the default. */
static void
append_count(PoolText *dest, const char *key, int number, int default_number)
{
	char		digits[16];

	if (number == default_number)
		return;

	snprintf(digits, sizeof(digits), "%d", number);
	append_key(dest, key);
	append_string(dest, digits);
}

static void
append_duration(PoolText *dest, const char *key, int64 milliseconds)
{
	char		duration[PMON_DURATION_LEN];

	if (milliseconds < 0)
		return;

	pmon_duration_format(milliseconds, duration);
	append_key(dest, key);
	append_string(dest, duration);
}

static void
append_limits(PoolText *dest, const PmonPool *pool)
{
	if (pool->idle_timeout == 0 && pool->idle_in_transaction_timeout == 0 &&
		pool->max_lifetime == 0)
	{
		append_string(dest, " terminate=never");
		return;
	}
	append_duration(dest, "idle_timeout", pool->idle_timeout);
	append_duration(dest, "idle_in_transaction_timeout",
					pool->idle_in_transaction_timeout);
	append_duration(dest, "max_lifetime", pool->max_lifetime);
}

Size
pmon_pool_format(const PmonPool *pool, char *buf, Size size)
{
	PoolText	dest = {buf, size, 0};

	append_word(&dest, pool->name);
	append_char(&dest, ':');
	append_pattern(&dest, "application", pool->has_application,
				   pool->application);
	append_pattern(&dest, "user", pool->has_user, pool->user);
	append_pattern(&dest, "database", pool->has_database, pool->database);
	if (pool->client.kind != PMON_CLIENT_UNKNOWN)
	{
		/* no client has a character that would need quotes */
		append_key(&dest, "client");
		append_string(&dest, pool->client_text);
	}
	append_count(&dest, "size", pool->size, -1);
	append_count(&dest, "overflow", pool->overflow, 0);
	append_count(&dest, "instances", pool->instances, 1);
	append_limits(&dest, pool);
	append_count(&dest, "keep_idle", pool->keep_idle, 0);

	if (size > 0)
		buf[Min(dest.length, size - 1)] = '\0';

	return dest.length;
}
