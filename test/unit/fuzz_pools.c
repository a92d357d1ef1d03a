/* links: pure/pools.c pure/pools_parser.c pure/client_network.c pure/duration.c */
/*-------------------------------------------------------------------------
 *
 * fuzz_pools.c
 *	  A grammar fuzzer for the setting pool_monitor.pools.
 *
 *	  fuzz_pools [INPUTS [SEED]]
 *
 * It draws pools at random and spells each in a random way that the grammar
 * allows: that must be accepted and mean the pools that were drawn.  Then it
 * damages such values: each must be refused at a position inside the value, or
 * accepted, and then writing the pools back and reading that must give the
 * same pools.  Values and results are in blocks of exactly the size they need,
 * so that AddressSanitizer sees a byte read or written beside them.
 *
 * What is drawn here is also known to mean something, which libFuzzer's values
 * are not: test/fuzz/fuzz_pools.c is the other half.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "pure/duration.h"
#include "tap.h"

#include "../fuzz/pools_checks.h"

#define MAX_DRAWN_POOLS		6
#define MAX_VALUE_LEN		8192

/* A slow machine must not hold up a whole test run. */
#define MAX_SECONDS			30

static uint64 random_state;

/* A random number from 0 to n - 1 (xorshift64*). */
static int
draw(int n)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;

	return (int) ((random_state * UINT64CONST(2685821657736338717)) >> 33) % n;
}

static bool
one_in(int n)
{
	return draw(n) == 0;
}

#define PICK(array) ((array)[draw(lengthof(array))])

/*
 * Drawing pools and spelling them
 */

/* The value being made */
static char value[MAX_VALUE_LEN];
static Size value_length;

static void
put(const char *str)
{
	Size		length = strlen(str);

	if (value_length + length >= sizeof(value))
		return;
	memcpy(value + value_length, str, length + 1);
	value_length += length;
}

static void
put_blanks(int minimum)
{
	static const char *const blanks[] = {" ", "  ", "\t", "\n", "\r\n", "\f", "\v"};

	for (int n = minimum + (one_in(4) ? draw(3) : 0); n > 0; n--)
		put(PICK(blanks));
}

/* Spell a word, in quotes if it must be or by chance. */
static void
put_word(const char *word, const char *need_quotes)
{
	char		c[2] = {0};

	if (*word != '\0' && strpbrk(word, need_quotes) == NULL && !one_in(4))
	{
		put(word);
		return;
	}

	put("\"");
	for (const char *p = word; *p != '\0'; p++)
	{
		c[0] = *p;
		put(*p == '"' ? "\"\"" : c);
	}
	put("\"");
}

static void
draw_pattern(const char *key, bool *given, char *field)
{
	static const char *const pieces[] = {
		"a", "api", "-", "*", "?", " ", ";", ":", "=", "\"", "é", "€", "😀", "/",
		"'", "\\", "#", ",", "1", "\xC3", "\x80", "\n", "\t", "\v", "\f", "\r"
	};

	if (!one_in(3))
		return;

	*given = true;
	for (int n = draw(12); n > 0; n--)
		strcat(field, PICK(pieces));
	put_blanks(1);
	put(key);
	put("=");
	put_word(field, " \n\t\v\f\r;:\"");
}

static void
draw_client(PmonPool *pool)
{
	static const char *const clients[] = {
		"local", "10.0.0.0/8", "192.168.1.7", "0.0.0.0/0", "172.16.0.0/12",
		"fd00::/8", "::1", "::/0", "2001:db8::/33", "::ffff:10.0.0.0/104"
	};

	if (!one_in(3))
		return;

	strcpy(pool->client_text, PICK(clients));
	pmon_network_parse(pool->client_text, &pool->client);
	put_blanks(1);
	put("client=");
	put_word(pool->client_text, " ;\"");
}

static void
draw_count(const char *key, int *field, int minimum, int chance)
{
	static const char *const spellings[] = {"%d", "+%d", "0%d"};
	static const int largest[] = {3, 50, PMON_MAX_POOL_SIZE - 1};
	char		digits[32];

	if (!one_in(chance))
		return;

	*field = minimum + draw(PICK(largest) + 1);
	snprintf(digits, sizeof(digits), PICK(spellings), *field);
	put_blanks(1);
	put(key);
	put("=");
	put_word(digits, " ");
}

static void
draw_duration(const char *key, int64 *field)
{
	static const struct
	{
		const char *spelling;	/* with a count */
		double		milliseconds;	/* of one */
	}			units[] = {
		{"%d", 1}, {"%dms", 1}, {"%ds", 1000}, {"%dmin", 60000},
		{"%dh", 3600000}, {"%dd", 86400000}, {"%d000us", 1}, {"%d.5s", 0},
		{"%de3ms", 1000}, {"0x%xs", 1000}
	};
	int			unit = draw(lengthof(units));
	int			count = one_in(5) ? 0 : draw(36501);
	char		str[32];

	if (!one_in(3))
		return;

	snprintf(str, sizeof(str), units[unit].spelling, count);
	*field = (int64) (count * units[unit].milliseconds);
	if (units[unit].milliseconds == 0)
		*field = (int64) count * 1000 + 500;
	put_blanks(1);
	put(key);
	put("=");
	put_word(str, " ");
}

/* Draw one pool and append its spelling to the value. */
static void
draw_pool(PmonPool *pool, int number)
{
	static const char *const names[] = {"p%d", "pool %d", "größe%d", "a;b:c=\"%d", "%d"};

	memset(pool, 0, sizeof(*pool));
	pool->size = -1;
	pool->instances = 1;
	pool->idle_timeout = -1;
	pool->idle_in_transaction_timeout = -1;
	pool->max_lifetime = -1;
	pool->closes_idle = -1;

	snprintf(pool->name, sizeof(pool->name), PICK(names), number);
	put_blanks(0);
	put_word(pool->name, " ;:=\"");
	put_blanks(0);
	put(":");

	draw_duration("max_lifetime", &pool->max_lifetime);
	draw_pattern("user", &pool->has_user, pool->user);
	draw_count("size", &pool->size, 1, 2);
	draw_pattern("application", &pool->has_application, pool->application);
	draw_client(pool);
	if (pool->size > 0)
	{
		draw_count("instances", &pool->instances, 1, 3);
		draw_count("overflow", &pool->overflow, 0, 2);
	}
	draw_count("keep_idle", &pool->keep_idle, 0, 4);
	draw_count("min_idle", &pool->min_idle, 0, 5);
	draw_duration("closes_idle", &pool->closes_idle);
	draw_duration("idle_timeout", &pool->idle_timeout);
	draw_pattern("database", &pool->has_database, pool->database);
	draw_duration("idle_in_transaction_timeout",
				  &pool->idle_in_transaction_timeout);
	put_blanks(0);
}

/* Draw some pools and spell them as a value; returns how many. */
static int
draw_value(PmonPool *pools)
{
	int			npools = draw(MAX_DRAWN_POOLS + 1);

	value_length = 0;
	value[0] = '\0';
	for (int i = 0; i < npools; i++)
	{
		if (i > 0)
			put(";");
		draw_pool(&pools[i], i);
	}
	if (npools > 0 && one_in(3))
		put(";");
	put_blanks(0);

	return npools;
}

/*
 * Damage
 */

static const char *const tokens[] = {
	";", ":", "=", "\"", "\"\"", " ", "\n", "\t", "*", "?", "/", "-", ".", "%",
	"0", "1", "9", "99999999999999999999", "-1", "1e9", "1e999", "0x", "nan",
	"us", "ms", "min", "d", "5min", "local", "10.0.0.0/8", "::1/128", "::",
	"a:", "b: ", "application=", "user=", "database=", "client=", "size=",
	"overflow=", "instances=", "idle_timeout=", "max_lifetime=", "keep_idle=",
	"closes_idle=", "min_idle=",
	"idle_in_transaction_timeout=", "nosuchkey=", "é", "\xC3", "\x80", "\x01",
	"\xFF", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
};

/* Replace removed bytes at a place by others, as far as there is room. */
static void
splice(Size place, Size removed, const char *bytes, Size length)
{
	char		inserted[MAX_VALUE_LEN];

	if (value_length - removed + length >= sizeof(value))
		return;
	memcpy(inserted, bytes, length);
	memmove(value + place + length, value + place + removed,
			value_length - place - removed + 1);
	memcpy(value + place, inserted, length);
	value_length += length - removed;
}

static void
damage(void)
{
	Size		place = draw((int) value_length + 1);
	Size		rest = value_length - place;
	Size		length = rest > 0 ? 1 + draw((int) Min(rest, 40)) : 0;
	const char *token = PICK(tokens);
	char		byte = (char) (1 + draw(255));

	switch (draw(6))
	{
		case 0:					/* remove one byte */
			splice(place, Min(rest, 1), "", 0);
			break;
		case 1:					/* remove a piece */
			splice(place, length, "", 0);
			break;
		case 2:					/* insert a token */
			splice(place, 0, token, strlen(token));
			break;
		case 3:					/* put a token in place of a piece */
			splice(place, length, token, strlen(token));
			break;
		case 4:					/* change one byte */
			splice(place, Min(rest, 1), &byte, 1);
			break;
		case 5:					/* repeat a piece somewhere else */
			splice(draw((int) value_length + 1), 0, value + place, length);
			break;
	}
}

/* Nothing but tokens, in no order. */
static void
draw_soup(void)
{
	value_length = 0;
	value[0] = '\0';
	for (int n = draw(40); n > 0; n--)
		put(PICK(tokens));
}

/*
 * Checks
 */

static long accepted_count = 0;
static long refused_count = 0;
static long complaints = 0;

static void
complain(const char *what)
{
	complaints++;
	if (complaints > 20)
		return;
	printf("# %s: ", what);
	for (Size i = 0; i < value_length; i++)
	{
		unsigned char c = (unsigned char) value[i];

		printf(c >= 0x20 && c < 0x7F ? "%c" : "\\x%02X", c);
	}
	printf("\n");
}

/* Parse the value and check what came of it. */
static void
check_value(void)
{
	bool		accepted;

	free(check_pools(value, &accepted));
	if (accepted)
		accepted_count++;
	else
		refused_count++;
}

/* Parse an undamaged value, which must mean the pools that were drawn. */
static void
check_drawn(const PmonPool *drawn, int npools)
{
	PmonPoolsError error;
	bool		accepted;
	PmonPools  *pools = parse(value, &error, &accepted);

	if (!accepted)
	{
		printf("# %d: %s\n", error.position, error.message);
		complain("well-formed value refused");
	}
	else if (pools->npools != npools ||
			 memcmp(pools->pools, drawn, npools * sizeof(PmonPool)) != 0)
		complain("not the pools that were drawn");
	free(pools);
}

/*
 * Patterns
 */

/* What a pattern means, in the plainest and slowest way */
static bool
matches_by_definition(const char *pattern, const char *str)
{
	if (*pattern == '\0')
		return *str == '\0';
	if (*pattern == '*')
		return matches_by_definition(pattern + 1, str) ||
			(*str != '\0' &&
			 matches_by_definition(pattern, str + pmon_utf8_length(str)));
	if (*str == '\0')
		return false;
	if (*pattern == '?')
		return matches_by_definition(pattern + 1, str + pmon_utf8_length(str));
	return *pattern == *str && matches_by_definition(pattern + 1, str + 1);
}

static void
fuzz_patterns(int count)
{
	static const char *const pieces[] = {"a", "b", "é", "*", "?"};
	int			matched = 0;
	int			wrong = 0;

	for (int i = 0; i < count; i++)
	{
		char		pattern[32] = "";
		char		str[32] = "";

		for (int n = draw(8); n > 0; n--)
			strcat(pattern, PICK(pieces));
		for (int n = draw(8); n > 0; n--)
			strcat(str, pieces[draw(3)]);

		matched += matches_by_definition(pattern, str);
		if (pmon_pattern_match(pattern, str) !=
			matches_by_definition(pattern, str))
		{
			wrong++;
			printf("# pattern [%s], string [%s]\n", pattern, str);
		}
	}

	ok(wrong == 0 && matched > count / 20,
	   "%d random patterns match what the definition says", count);
}

int
main(int argc, char **argv)
{
	long		inputs = argc > 1 ? atol(argv[1]) : 200000;
	uint64		seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	time_t		start = time(NULL);
	long		drawn_count = 0;
	long		done;
	long		drawn_complaints;
	PmonPool	drawn[MAX_DRAWN_POOLS];

	random_state = seed * UINT64CONST(0x9E3779B97F4A7C15) + 1;

	for (done = 0; done < inputs; done++)
	{
		if (argc <= 1 && done % 1000 == 0 && time(NULL) - start > MAX_SECONDS)
			break;
		if (one_in(10))
			draw_soup();
		else
		{
			draw_value(drawn);
			for (int n = 1 + draw(3); n > 0; n--)
				damage();
		}
		check_value();
	}
	ok(complaints == 0,
	   "%ld damaged values are each refused with a position or shown back as meant",
	   done);
	printf("# seed " UINT64_FORMAT ": %ld accepted, %ld refused\n", seed,
		   accepted_count, refused_count);
	ok(accepted_count > done / 20 && refused_count > done / 4,
	   "the damage leaves enough values of both kinds");

	drawn_complaints = complaints;
	for (drawn_count = 0; drawn_count < inputs / 10; drawn_count++)
	{
		int			npools = draw_value(drawn);

		check_drawn(drawn, npools);
	}
	ok(complaints == drawn_complaints,
	   "%ld well-formed values in any spelling mean the pools that were drawn",
	   drawn_count);

	fuzz_patterns((int) Min(inputs, 100000));

	return tap_done();
}
