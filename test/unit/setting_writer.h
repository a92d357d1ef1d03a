/*-------------------------------------------------------------------------
 *
 * setting_writer.h
 *	  Writes durations and declared pools as text of a setting, so that reading
 *	  that gives the same: defaults are left out, and durations are in their
 *	  largest exact unit.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_SETTING_WRITER_H
#define PMON_SETTING_WRITER_H

#include "pure/pools.h"

/* Room for any duration */
#define DURATION_LEN		32

/* Write a duration (at least 0); 0 has no unit. */
static inline void
format_duration(int64 milliseconds, char *buf)
{
	static const struct
	{
		const char *name;
		int64		milliseconds;
	}			units[] = {
		{"d", 24 * 60 * 60 * 1000},
		{"h", 60 * 60 * 1000},
		{"min", 60 * 1000},
		{"s", 1000},
		{"ms", 1},
	};
	int			i = 0;

	if (milliseconds == 0)
	{
		snprintf(buf, DURATION_LEN, "0");
		return;
	}

	/* ends at a millisecond at the latest */
	while (milliseconds % units[i].milliseconds != 0)
		i++;
	snprintf(buf, DURATION_LEN, INT64_FORMAT "%s",
			 milliseconds / units[i].milliseconds, units[i].name);
}

/*
 * Room that is always enough for a pool: at worst every byte of the name and
 * the patterns is a double quote and thus doubled.
 */
#define POOL_TEXT_LEN		(2 * (NAMEDATALEN + 3 * PMON_PATTERN_LEN) + 512)

/* A text that grows in a buffer of fixed size, and counts what did not fit */
typedef struct PoolText
{
	char	   *buf;
	Size		size;
	Size		length;
} PoolText;

static inline void
append_char(PoolText *dest, char c)
{
	if (dest->length + 1 < dest->size)
		dest->buf[dest->length] = c;
	dest->length++;
}

static inline void
append_string(PoolText *dest, const char *string)
{
	while (*string != '\0')
		append_char(dest, *string++);
}

/* Write a name or a pattern, in quotes where it could be read otherwise. */
static inline void
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

static inline void
append_key(PoolText *dest, const char *key)
{
	append_char(dest, ' ');
	append_string(dest, key);
	append_char(dest, '=');
}

static inline void
append_pattern(PoolText *dest, const char *key, bool given,
			   const char *pattern)
{
	if (!given)
		return;

	append_key(dest, key);
	append_word(dest, pattern);
}

/* Write a whole number unless it is the default. */
static inline void
append_count(PoolText *dest, const char *key, int number, int default_number)
{
	char		digits[16];

	if (number == default_number)
		return;

	snprintf(digits, sizeof(digits), "%d", number);
	append_key(dest, key);
	append_string(dest, digits);
}

static inline void
append_duration(PoolText *dest, const char *key, int64 milliseconds)
{
	char		duration[DURATION_LEN];

	if (milliseconds < 0)
		return;

	format_duration(milliseconds, duration);
	append_key(dest, key);
	append_string(dest, duration);
}

static inline void
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

/*
 * The text is cut to size bytes with its terminating zero byte.  Returns the
 * length of the whole text, as snprintf() does.
 */
static inline Size
format_pool(const PmonPool *pool, char *buf, Size size)
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
	append_duration(&dest, "closes_idle", pool->closes_idle);
	append_count(&dest, "min_idle", pool->min_idle, 0);

	if (size > 0)
		buf[Min(dest.length, size - 1)] = '\0';

	return dest.length;
}

#endif							/* PMON_SETTING_WRITER_H */
