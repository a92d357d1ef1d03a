/*-------------------------------------------------------------------------
 *
 * pools_parser.c
 *	  The grammar of the setting pool_monitor.pools.
 *
 * The parser is a cursor over the value that never moves backwards, and a
 * table of keys that says what each one takes and where it goes.  A word's
 * text is copied into a fixed buffer while its full length is counted, so that
 * a word of any length can be refused by name.  Every refusal goes through
 * refuse(), which turns the place in the value into a position that a person
 * can count to.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pure/duration.h"
#include "pure/pools_parser.h"

/* How many bytes of a word a message shows */
#define SHOWN_LEN		40

/* A name, key or value as it stands in the setting */
typedef struct PoolWord
{
	const char *start;			/* its first character or opening quote */
	bool		quoted;
	Size		length;			/* without quotes; may exceed the text */
	char		chars[PMON_PATTERN_LEN];	/* cut to fit, zero padded */
	char		shown[SHOWN_LEN + 4];	/* cut further, for messages */
} PoolWord;

typedef enum PoolKeyType
{
	KEY_PATTERN,
	KEY_CLIENT,
	KEY_COUNT,
	KEY_DURATION,
	KEY_LIMIT,					/* a duration that KEY_NEVER stands for */
	KEY_NEVER
} PoolKeyType;

typedef struct PoolKey
{
	const char *name;
	PoolKeyType type;
	Size		offset;			/* of the field in PmonPool */
	Size		given_offset;	/* of a pattern's has_ flag in PmonPool */
	int			minimum;		/* of a count */
	bool		needs_size;
} PoolKey;

#define PATTERN(field) \
	.name = #field, .type = KEY_PATTERN, .offset = offsetof(PmonPool, field), \
	.given_offset = offsetof(PmonPool, has_##field)
#define FIELD(field) \
	.name = #field, .offset = offsetof(PmonPool, field)

static const PoolKey pool_keys[] = {
	{PATTERN(application)},
	{PATTERN(user)},
	{PATTERN(database)},
	{FIELD(client),.type = KEY_CLIENT},
	{FIELD(size),.type = KEY_COUNT},
	{FIELD(overflow),.type = KEY_COUNT,.needs_size = true},
	{FIELD(instances),.type = KEY_COUNT,.needs_size = true,.minimum = 1},
	{FIELD(idle_timeout),.type = KEY_LIMIT},
	{FIELD(idle_in_transaction_timeout),.type = KEY_LIMIT},
	{FIELD(max_lifetime),.type = KEY_LIMIT},
	{FIELD(keep_idle),.type = KEY_COUNT},
	{FIELD(closes_idle),.type = KEY_DURATION},
	{FIELD(min_idle),.type = KEY_COUNT},
	{.name = "terminate",.type = KEY_NEVER},
};

typedef struct PoolsParser
{
	const char *value;			/* the whole setting */
	const char *cursor;			/* the next character to read */
	PmonPools  *out;
	int			capacity;
	PmonPoolsError *error;

	/* What is being read, for messages */
	PmonPool   *pool;			/* or NULL */
	const PoolKey *key;			/* or NULL */

	/* Where the pool's keys stand in the value, as in pool_keys, or NULL */
	const char *key_places[lengthof(pool_keys)];
} PoolsParser;

static const char *const pool_hint =
"A pool is written as \"name: key=value key=value\".";
static const char *const separator_hint =
"Pools are separated by \";\".";
static const char *const keys_hint =
"The keys are application, user, database, client, size, overflow, instances, "
"idle_timeout, idle_in_transaction_timeout, max_lifetime, keep_idle, "
"closes_idle, min_idle and terminate.";
static const char *const equals_hint =
"No blank may stand before or after \"=\".";
static const char *const quotes_hint =
"Put the whole word in double quotes, and write \"\" for one double quote.";
static const char *const units_hint =
"Valid units are \"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\".";

static bool refuse(PoolsParser *parser, const char *place, const char *hint,
				   const char *format,...) pg_attribute_printf(4, 5);

/*
 * Record why the value is refused at a place in it; returns false, so that a
 * caller can return the call.
 */
static bool
refuse(PoolsParser *parser, const char *place, const char *hint,
	   const char *format,...)
{
	PmonPoolsError *error = parser->error;
	va_list		args;

	memset(error, 0, sizeof(*error));

	/* all bytes of a UTF-8 sequence but the first are 10xxxxxx */
	error->position = 1;
	for (const char *p = parser->value; p < place; p++)
	{
		if ((*p & 0xC0) != 0x80)
			error->position++;
	}

	if (parser->pool != NULL)
		memcpy(error->pool, parser->pool->name, sizeof(error->pool));
	if (parser->key != NULL)
		snprintf(error->key, sizeof(error->key), "%s", parser->key->name);

	va_start(args, format);
	vsnprintf(error->message, sizeof(error->message), format, args);
	va_end(args);
	error->hint = hint;

	return false;
}

/*
 * Words
 */

static void
skip_blanks(PoolsParser *parser)
{
	while (pmon_is_blank(*parser->cursor))
		parser->cursor++;
}

/* Does a word end at the cursor, outside of quotes? */
static bool
at_end_of_word(PoolsParser *parser, const char *terminators)
{
	char		c = *parser->cursor;

	/* strchr() finds the terminating zero byte, too */
	return pmon_is_blank(c) || strchr(terminators, c) != NULL;
}

/* The most bytes of str, up to limit, that split no UTF-8 sequence. */
static Size
clip_length(const char *str, Size limit)
{
	Size		length = 0;

	for (;;)
	{
		int			next = pmon_utf8_length(str + length);

		if (next == 0 || length + next > limit)
			return length;
		length += next;
	}
}

static void
start_word(PoolsParser *parser, PoolWord *word)
{
	memset(word, 0, sizeof(*word));
	word->start = parser->cursor;
	word->quoted = (*parser->cursor == '"');
}

static void
add_to_word(PoolWord *word, char c)
{
	if (word->length < sizeof(word->chars) - 1)
		word->chars[word->length] = c;
	word->length++;
}

/* Make the form in which messages show the word. */
static void
finish_word(PoolWord *word)
{
	Size		length = clip_length(word->chars, SHOWN_LEN);

	memcpy(word->shown, word->chars, length);
	if (length < word->length)
		memcpy(word->shown + length, "...", 3);
}

/* Read a quoted word, and see that nothing is glued to its end. */
static bool
read_quoted(PoolsParser *parser, PoolWord *word, const char *terminators)
{
	parser->cursor++;			/* the opening quote */
	for (;;)
	{
		char		c = *parser->cursor;

		if (c == '\0')
			return refuse(parser, word->start, NULL,
						  "unterminated double quote");
		parser->cursor++;
		if (c == '"')
		{
			if (*parser->cursor != '"')
				break;
			parser->cursor++;
		}
		add_to_word(word, c);
	}
	finish_word(word);

	if (!at_end_of_word(parser, terminators))
		return refuse(parser, parser->cursor, NULL,
					  "unexpected character after the closing double quote of \"%s\"",
					  word->shown);

	return true;
}

/*
 * Read a bare word, which may be empty: what that means is the caller's to
 * say.
 */
static bool
read_bare(PoolsParser *parser, PoolWord *word, const char *terminators)
{
	while (!at_end_of_word(parser, terminators) && *parser->cursor != '"')
	{
		add_to_word(word, *parser->cursor);
		parser->cursor++;
	}
	finish_word(word);

	if (*parser->cursor == '"')
		return refuse(parser, parser->cursor, quotes_hint,
					  "unexpected double quote after \"%s\"", word->shown);

	return true;
}

/* Read a name or a value, up to a blank or one of the terminators. */
static bool
read_word(PoolsParser *parser, PoolWord *word, const char *terminators)
{
	start_word(parser, word);
	if (word->quoted)
		return read_quoted(parser, word, terminators);
	return read_bare(parser, word, terminators);
}

/*
 * Values
 */

/* Can the word be kept whole, in so many bytes with a terminating zero? */
static bool
check_length(PoolsParser *parser, const PoolWord *word, Size size,
			 const char *what)
{
	if (word->length < size)
		return true;

	return refuse(parser, word->start, NULL,
				  "%s \"%s\" is too long: %zu bytes, the limit is %zu",
				  what, word->shown, word->length, size - 1);
}

static bool
set_pattern(PoolsParser *parser, const PoolWord *word)
{
	char	   *pool = (char *) parser->pool;

	memcpy(pool + parser->key->offset, word->chars, PMON_PATTERN_LEN);
	*(bool *) (pool + parser->key->given_offset) = true;

	return true;
}

static bool
set_client(PoolsParser *parser, const PoolWord *word)
{
	PmonPool   *pool = parser->pool;

	switch (pmon_network_parse(word->chars, &pool->client))
	{
		case PMON_NETWORK_OK:
			break;
		case PMON_NETWORK_INVALID:
			return refuse(parser, word->start,
						  "Write \"local\", an IP address, or a network such as \"10.0.0.0/8\".",
						  "\"%s\" is not a client address", word->shown);
		case PMON_NETWORK_BAD_PREFIX:
			return refuse(parser, word->start, NULL,
						  "invalid prefix length in network \"%s\"",
						  word->shown);
		case PMON_NETWORK_HOST_BITS:
			return refuse(parser, word->start, NULL,
						  "network \"%s\" has bits set to the right of its prefix",
						  word->shown);
	}
	memcpy(pool->client_text, word->chars, PMON_CLIENT_LEN);

	return true;
}

/*
 * Read a whole number.  Unlike in core's settings, "1e1", "0x14", and "010" for
 * 8 are not taken: nobody would write a pool's size like that on purpose.
 */
static bool
set_count(PoolsParser *parser, const PoolWord *word)
{
	int			minimum = parser->key->minimum;
	const char *digits = word->chars;
	bool		negative = false;
	Size		ndigits;
	int64		number = 0;

	if (*digits == '-' || *digits == '+')
		negative = (*digits++ == '-');
	ndigits = strspn(digits, "0123456789");
	if (ndigits == 0 || digits[ndigits] != '\0')
		return refuse(parser, word->start, NULL,
					  "\"%s\" is not a whole number", word->shown);

	/* stop once it is out of range, so that it cannot overflow */
	for (Size i = 0; i < ndigits && number <= PMON_MAX_POOL_SIZE; i++)
		number = number * 10 + (digits[i] - '0');
	if (negative)
		number = -number;
	if (number < minimum || number > PMON_MAX_POOL_SIZE)
		return refuse(parser, word->start, NULL,
					  "%s is outside the valid range (%d to %d)",
					  word->shown, minimum, PMON_MAX_POOL_SIZE);

	*(int *) ((char *) parser->pool + parser->key->offset) = (int) number;

	return true;
}

static bool
set_duration(PoolsParser *parser, const PoolWord *word)
{
	int64	   *field = (int64 *) ((char *) parser->pool + parser->key->offset);

	switch (pmon_duration_parse(word->chars, field))
	{
		case PMON_DURATION_OK:
			break;
		case PMON_DURATION_INVALID:
			return refuse(parser, word->start, units_hint,
						  "\"%s\" is not a duration", word->shown);
		case PMON_DURATION_OUT_OF_RANGE:
			return refuse(parser, word->start, NULL,
						  "%s is outside the valid range (0 to %s)",
						  word->shown, PMON_MAX_DURATION_TEXT);
		case PMON_DURATION_ROUNDS_TO_ZERO:
			return refuse(parser, word->start, "Zero means never.",
						  "%s rounds to zero", word->shown);
	}

	return true;
}

/* The one word that turns off every limit */
static bool
set_never(PoolsParser *parser, const PoolWord *word)
{
	if (strcmp(word->chars, "never") != 0)
		return refuse(parser, word->start,
					  "Leave out the key for a pool whose sessions may be ended.",
					  "\"%s\" is not \"never\"", word->shown);

	return true;
}

static bool
set_value(PoolsParser *parser, const PoolWord *word)
{
	PoolKeyType type = parser->key->type;

	if (!check_length(parser, word,
					  type == KEY_CLIENT ? PMON_CLIENT_LEN : PMON_PATTERN_LEN,
					  "value"))
		return false;

	switch (type)
	{
		case KEY_PATTERN:
			return set_pattern(parser, word);
		case KEY_CLIENT:
			return set_client(parser, word);
		case KEY_COUNT:
			return set_count(parser, word);
		case KEY_DURATION:
		case KEY_LIMIT:
			return set_duration(parser, word);
		case KEY_NEVER:
			return set_never(parser, word);
	}
	return false;
}

/*
 * Pairs
 */

/* Find the key that a word names, and note that it was given. */
static bool
find_key(PoolsParser *parser, const PoolWord *word)
{
	for (int i = 0; i < lengthof(pool_keys); i++)
	{
		if (strcmp(word->chars, pool_keys[i].name) != 0)
			continue;

		parser->key = &pool_keys[i];
		if (parser->key_places[i] != NULL)
			return refuse(parser, word->start, NULL,
						  "key \"%s\" is given twice", word->chars);
		parser->key_places[i] = word->start;
		return true;
	}

	refuse(parser, word->start, keys_hint, "unknown key \"%s\"", word->shown);
	memcpy(parser->error->key, word->chars,
		   clip_length(word->chars, sizeof(parser->error->key) - 1));
	return false;
}

/* Read a key and the "=" behind it, and set parser->key. */
static bool
read_key(PoolsParser *parser)
{
	PoolWord	word;

	start_word(parser, &word);
	if (word.quoted)
		return refuse(parser, word.start, keys_hint,
					  "expected a key, found a double quote");
	if (!read_bare(parser, &word, ";:="))
		return false;
	if (word.length == 0)
		return refuse(parser, word.start, keys_hint,
					  "expected a key before \"%c\"", *parser->cursor);
	if (*parser->cursor == ':')
		return refuse(parser, parser->cursor, separator_hint,
					  "expected \"=\" after \"%s\", found \":\"", word.shown);
	if (*parser->cursor != '=')
		return refuse(parser, parser->cursor, equals_hint,
					  "expected \"=\" directly after \"%s\"", word.shown);

	parser->cursor++;
	return find_key(parser, &word);
}

/* Read one key=value into the current pool. */
static bool
read_pair(PoolsParser *parser)
{
	PoolWord	word;

	if (!read_key(parser))
		return false;

	/* IPv6 addresses should not need quotes */
	if (!read_word(parser, &word,
				   parser->key->type == KEY_CLIENT ? ";" : ";:"))
		return false;
	if (*parser->cursor == ':')
		return refuse(parser, parser->cursor,
					  word.quoted ? separator_hint : quotes_hint,
					  "unexpected \":\" after \"%s\"", word.shown);
	if (word.length == 0 && !word.quoted)
		return refuse(parser, word.start,
					  pmon_is_blank(*parser->cursor) ? equals_hint : NULL,
					  "no value after \"%s=\"", parser->key->name);

	if (!set_value(parser, &word))
		return false;

	parser->key = NULL;
	return true;
}

/*
 * Pools
 */

/* Is the word fit to be the name of another pool? */
static bool
check_pool_name(PoolsParser *parser, const PoolWord *word)
{
	PmonPools  *out = parser->out;

	if (!check_length(parser, word, NAMEDATALEN, "the pool's name"))
		return false;

	for (const char *p = word->chars; *p != '\0'; p++)
	{
		if ((unsigned char) *p < 0x20 || *p == 0x7F)
			return refuse(parser, word->start, NULL,
						  "the pool's name contains a control character");
	}

	for (int i = 0; i < out->npools; i++)
	{
		if (strcmp(out->pools[i].name, word->chars) == 0)
		{
			parser->pool = &out->pools[i];
			return refuse(parser, word->start, NULL,
						  "pool \"%s\" is declared twice", word->chars);
		}
	}

	if (out->npools >= parser->capacity)
		return refuse(parser, word->start, NULL,
					  "too many pools: the limit is %d", parser->capacity);

	return true;
}

/* Set up a pool in which no key was given. */
static void
start_pool(PoolsParser *parser, const PoolWord *name)
{
	PmonPool   *pool = &parser->out->pools[parser->out->npools];

	memset(pool, 0, sizeof(*pool));
	memcpy(pool->name, name->chars, NAMEDATALEN);
	pool->size = -1;
	pool->instances = 1;
	pool->idle_timeout = -1;
	pool->idle_in_transaction_timeout = -1;
	pool->max_lifetime = -1;
	pool->closes_idle = -1;

	parser->pool = pool;
	memset(parser->key_places, 0, sizeof(parser->key_places));
}

/* Read a pool's name and the ":" behind it, and set up the pool. */
static bool
read_pool_name(PoolsParser *parser)
{
	PoolWord	word;

	if (!read_word(parser, &word, ";:="))
		return false;
	if (word.length == 0 && word.quoted)
		return refuse(parser, word.start, NULL, "the pool's name is empty");
	if (word.length == 0)
		return refuse(parser, word.start, pool_hint,
					  "expected a pool's name before \"%c\"",
					  *parser->cursor);

	skip_blanks(parser);
	if (*parser->cursor != ':')
		return refuse(parser, parser->cursor, pool_hint,
					  "expected \":\" after the pool's name \"%s\"",
					  word.shown);
	parser->cursor++;

	if (!check_pool_name(parser, &word))
		return false;

	start_pool(parser, &word);
	return true;
}

/* The place of a key of that type among those that were given, or NULL */
static const char *
place_of(PoolsParser *parser, PoolKeyType type)
{
	for (int i = 0; i < lengthof(pool_keys); i++)
	{
		if (pool_keys[i].type == type && parser->key_places[i] != NULL)
			return parser->key_places[i];
	}
	return NULL;
}

/* What "terminate=never" stands for; called when all keys are known. */
static void
turn_limits_off(PoolsParser *parser)
{
	PmonPool   *pool = parser->pool;

	if (place_of(parser, KEY_NEVER) != NULL)
		pool->idle_timeout = pool->idle_in_transaction_timeout =
			pool->max_lifetime = 0;
}

/* Check what no key can tell alone. */
static bool
check_pool(PoolsParser *parser)
{
	const PmonPool *pool = parser->pool;

	for (int i = 0; i < lengthof(pool_keys); i++)
	{
		const char *place = parser->key_places[i];

		if (place == NULL)
			continue;

		parser->key = &pool_keys[i];
		if (parser->key->needs_size && pool->size < 0)
			return refuse(parser, place, NULL,
						  "\"%s\" needs \"size\"", parser->key->name);
		if (parser->key->type == KEY_LIMIT &&
			place_of(parser, KEY_NEVER) != NULL)
			return refuse(parser, place, NULL,
						  "\"%s\" contradicts \"terminate=never\"",
						  parser->key->name);
		if (parser->key->offset == offsetof(PmonPool, size) &&
			pool->size == 0 && pool->overflow == 0)
			return refuse(parser, place,
						  "For a pool that is only a policy, leave out \"size\".",
						  "size and overflow are both 0");
	}

	parser->key = NULL;
	return true;
}

/* Read one pool, up to the end of the value or the ";" behind it. */
static bool
read_pool(PoolsParser *parser)
{
	if (!read_pool_name(parser))
		return false;

	for (;;)
	{
		skip_blanks(parser);
		if (*parser->cursor == '\0' || *parser->cursor == ';')
			break;
		if (!read_pair(parser))
			return false;
	}

	if (!check_pool(parser))
		return false;
	turn_limits_off(parser);

	parser->out->npools++;
	parser->pool = NULL;
	return true;
}

Size
pmon_pools_count_bound(const char *value)
{
	Size		bound = 1;

	/* a bound may count a ";" that stands in quotes */
	for (const char *p = value; *p != '\0' && bound < PMON_MAX_POOLS; p++)
	{
		if (*p == ';')
			bound++;
	}

	return bound;
}

bool
pmon_pools_parse(const char *value, PmonPools *out, int capacity,
				 PmonPoolsError *error)
{
	PoolsParser parser = {0};
	PmonPoolsError unused;

	parser.value = value;
	parser.cursor = value;
	parser.out = out;
	parser.capacity = Min(capacity, PMON_MAX_POOLS);
	parser.error = error != NULL ? error : &unused;
	out->npools = 0;

	for (;;)
	{
		skip_blanks(&parser);
		if (*parser.cursor == '\0')
			return true;
		if (!read_pool(&parser))
		{
			out->npools = 0;
			return false;
		}
		if (*parser.cursor == ';')
			parser.cursor++;
	}
}

void
pmon_pools_error_detail(const PmonPoolsError *error, char *buf, Size size)
{
	if (error->pool[0] != '\0' && error->key[0] != '\0')
		snprintf(buf, size, "Pool \"%s\", key \"%s\", at position %d: %s.",
				 error->pool, error->key, error->position, error->message);
	else if (error->pool[0] != '\0')
		snprintf(buf, size, "Pool \"%s\", at position %d: %s.",
				 error->pool, error->position, error->message);
	else
		snprintf(buf, size, "At position %d: %s.",
				 error->position, error->message);
}
