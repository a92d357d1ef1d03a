/* links: query/openmetrics.c pure/hold_histogram.c */
/*-------------------------------------------------------------------------
 *
 * fuzz_openmetrics.c
 *	  The exposition: whatever the names and the figures are, it can be read,
 *	  and says what was meant.
 *
 * The input is, for each family: a byte for the metric, one for the kind of
 * sample, one for the number of labels, eight for the value, and a text for
 * each label's value.  What is written is read by a parser that follows the
 * grammar of the OpenMetrics specification and shares nothing with the writer.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "fuzz.h"
#include "query/openmetrics.h"

#define MAX_FAMILIES	4

static const char *const label_names[] = {
	"datname", "usename", "application_name", "state", "le_"
};
static const char *const words[] = {"healthy", "warning", "not \"well\"\n"};

typedef enum SampleKind
{
	KIND_WHOLE,
	KIND_MICROSECONDS,
	KIND_NANOSECONDS,
	KIND_RATIO,
	KIND_ENUMERATION,
	KIND_HISTOGRAM
} SampleKind;

/* What was asked for */
typedef struct Family
{
	PmonMetric	metric;
	SampleKind	kind;
	PmonLabels	labels;
	int64		value;
} Family;

/*
 * The parser.  It moves a cursor, and requires what must come next.
 */

static const char *cursor;

static void
expect(const char *text)
{
	require(strncmp(cursor, text, strlen(text)) == 0,
			"expected \"%s\", found \"%.40s\"", text, cursor);
	cursor += strlen(text);
}

/* A name of a metric or a label */
static void
expect_name(char *name, size_t size)
{
	size_t		length = strspn(cursor, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

	require(length > 0 && length < size && !(*cursor >= '0' && *cursor <= '9'),
			"expected a name, found \"%.40s\"", cursor);
	memcpy(name, cursor, length);
	name[length] = '\0';
	cursor += length;
}

/* A text up to what ends it, unescaped, which must be the expected one */
static void
expect_escaped(const char *expected, char end)
{
	const char *start = expected;

	while (*cursor != end)
	{
		char		c = *cursor++;

		require(c != '\0' && c != '\n' && c != '"', "a text breaks off");
		if (c == '\\')
		{
			c = *cursor++;
			require(c == 'n' || c == '"' || c == '\\', "\"\\%c\" in a text", c);
			if (c == 'n')
				c = '\n';
		}
		if (expected != NULL)
		{
			require(*expected == c, "another text than \"%s\"", start);
			expected++;
		}
	}
	require(expected == NULL || *expected == '\0', "less than \"%s\"", start);
}

/* A number, as the grammar has it; returns its text in static memory */
static const char *
expect_number(void)
{
	static char number[400];
	size_t		length = strcspn(cursor, " \n");
	char	   *end;

	require(length > 0 && length < sizeof(number), "a number of %zu bytes", length);
	memcpy(number, cursor, length);
	number[length] = '\0';
	cursor += length;

	if (strspn(number, "+-0123456789.eE") == length)
	{
		(void) strtod(number, &end);
		require(*end == '\0' && strpbrk(number, "0123456789") != NULL,
				"\"%s\" is not a number", number);
	}
	else
		require(strcasecmp(number, "nan") == 0 || strcasecmp(number, "infinity") == 0 ||
				strcasecmp(number, "-infinity") == 0, "\"%s\" is not a number", number);
	return number;
}

/* The lines that introduce a family; returns the suffix of its samples */
static const char *
expect_head(const Family *family)
{
	const char *name = pmon_metric_name(family->metric);
	const char *suffix = "";

	expect("# TYPE pool_monitor_");
	expect(name);
	expect(" ");
	if (strncmp(cursor, "counter", 7) == 0)
		suffix = "_total";
	cursor += strcspn(cursor, " \n");
	expect("\n");
	if (strncmp(cursor, "# UNIT ", 7) == 0)
	{
		char		unit[64];

		expect("# UNIT pool_monitor_");
		expect(name);
		expect(" ");
		expect_name(unit, sizeof(unit));
		require(strlen(name) > strlen(unit) &&
				strcmp(name + strlen(name) - strlen(unit), unit) == 0,
				"\"%s\" does not end in \"%s\"", name, unit);
		expect("\n");
	}
	expect("# HELP pool_monitor_");
	expect(name);
	expect(" ");
	expect_escaped(NULL, '\n');
	expect("\n");
	return suffix;
}

/* The bound of the last sample */
static char bound[64];

static void
expect_bound(void)
{
	size_t		length = strcspn(cursor, "\"");

	require(length > 0 && length < sizeof(bound), "a bound of %zu bytes", length);
	memcpy(bound, cursor, length);
	bound[length] = '\0';
	cursor += length;
}

/*
 * A sample up to its value, with its labels and maybe one more, of that value
 * or, if that is NULL, a bound
 */
static void
expect_series(const Family *family, const char *suffix, const char *extra,
			  const char *extra_value)
{
	int			nlabels = family->labels.n + (extra != NULL);
	char		name[64];

	expect("pool_monitor_");
	expect(pmon_metric_name(family->metric));
	expect(suffix);
	if (nlabels > 0)
		expect("{");
	for (int i = 0; i < nlabels; i++)
	{
		bool		last = i == family->labels.n;

		if (i > 0)
			expect(",");
		expect_name(name, sizeof(name));
		require(strcmp(name, last ? extra : family->labels.labels[i].name) == 0,
				"label \"%s\"", name);
		expect("=\"");
		if (last && extra_value == NULL)
			expect_bound();
		else
			expect_escaped(last ? extra_value : family->labels.labels[i].value, '"');
		expect("\"");
	}
	if (nlabels > 0)
		expect("}");
	expect(" ");
}

/* value / 10^decimals, exactly */
static void
expect_decimal(int64 value, int decimals)
{
	const char *number = expect_number();
	const char *point = strchr(number, '.');
	int64		read = 0;

	require(decimals == 0 ? point == NULL :
			point != NULL && strlen(point + 1) == decimals, "decimals of %s", number);
	for (const char *p = number; *p != '\0'; p++)
	{
		int			digit = *p - '0';

		if (*p == '.' || (*p == '-' && p == number))
			continue;
		require(digit >= 0 && digit <= 9, "\"%s\"", number);
		/* towards the negative, which has one more */
		require(!__builtin_mul_overflow(read, 10, &read) &&
				!__builtin_sub_overflow(read, digit, &read), "%s is too large", number);
	}
	require(value < 0 ? *number == '-' && read == value : read == -value,
			"%s is not %lld", number, (long long) value);
	expect("\n");
}

static void
expect_ratio(int64 bits)
{
	const char *number = expect_number();
	double		value;
	double		read = strtod(number, NULL);

	memcpy(&value, &bits, sizeof(value));
	require(isnan(value) ? isnan(read) :
			isinf(value) ? read == value :
			fabs(read - value) <= fabs(value) * 1e-5 ||
			(isinf(read) && fabs(value) > 1.7e308),
			"%s is not %.17g", number, value);
	expect("\n");
}

/*
 * The figures of a histogram: a few buckets, all counts below 2^54 in all
 */
static void
make_histogram(int64 seed, uint64 *counts)
{
	uint64		state = (uint64) seed;

	memset(counts, 0, sizeof(uint64) * PMON_HOLD_BUCKETS);
	for (int i = 0; i < 16; i++)
	{
		state = state * UINT64CONST(6364136223846793005) + UINT64CONST(1442695040888963407);
		counts[(state >> 33) % PMON_HOLD_BUCKETS] += state >> (14 + (state & 31));
	}
}

/* The count of what is at most that many seconds, with six decimals */
static uint64
count_up_to(const uint64 *counts, const char *seconds)
{
	uint64		microseconds = 0;
	uint64		n = 0;

	for (const char *p = seconds; *p != '\0'; p++)
	{
		if (*p != '.')
			microseconds = microseconds * 10 + (*p - '0');
	}
	for (int i = 0; i < PMON_HOLD_BUCKETS; i++)
	{
		if (pmon_hold_bucket_start(i) <= microseconds)
			n += counts[i];
	}
	return n;
}

static void
expect_histogram(const Family *family)
{
	uint64		counts[PMON_HOLD_BUCKETS];
	uint64		total = 0;
	bool		infinite = false;

	make_histogram(family->value, counts);
	for (int i = 0; i < PMON_HOLD_BUCKETS; i++)
		total += counts[i];

	while (!infinite)
	{
		expect_series(family, "_bucket", "le", NULL);
		infinite = strcmp(bound, "+Inf") == 0;
		expect_decimal(infinite ? total : count_up_to(counts, bound), PMON_WHOLE);
	}
	expect_series(family, "_count", NULL, NULL);
	expect_decimal(total, 0);
	expect_series(family, "_sum", NULL, NULL);
	expect_decimal(Max(family->value, 0), PMON_MICROSECONDS);
}

static void
expect_family(const Family *family)
{
	const char *suffix = expect_head(family);

	switch (family->kind)
	{
		case KIND_WHOLE:
			expect_series(family, suffix, NULL, NULL);
			expect_decimal(family->value, PMON_WHOLE);
			break;
		case KIND_MICROSECONDS:
			expect_series(family, suffix, NULL, NULL);
			expect_decimal(family->value, PMON_MICROSECONDS);
			break;
		case KIND_NANOSECONDS:
			expect_series(family, suffix, NULL, NULL);
			expect_decimal(family->value, PMON_NANOSECONDS);
			break;
		case KIND_RATIO:
			expect_series(family, suffix, NULL, NULL);
			expect_ratio(family->value);
			break;
		case KIND_ENUMERATION:
			for (int i = 0; i < lengthof(words); i++)
			{
				expect_series(family, suffix, "word", words[i]);
				expect_decimal(i == family->value, PMON_WHOLE);
			}
			break;
		case KIND_HISTOGRAM:
			expect_histogram(family);
			break;
	}
}

/*
 * The writer
 */

static void
take_family(FuzzInput *input, Family *family)
{
	int			nlabels;

	memset(family, 0, sizeof(*family));
	family->metric = take_byte(input) % PMON_METRICS;
	family->kind = take_byte(input) % KIND_HISTOGRAM;
	if (family->metric == PMON_METRIC_HOLD_TIME)
		family->kind = KIND_HISTOGRAM;
	nlabels = take_byte(input) % (lengthof(label_names) + 1);
	family->value = take_int64(input);
	if (family->kind == KIND_ENUMERATION)
		family->value = (uint64) family->value % lengthof(words);
	for (int i = 0; i < nlabels; i++)
		pmon_add_label(&family->labels, label_names[i], take_text(input));
}

static void
write_family(PmonExposition *out, const Family *family)
{
	static const int decimals[] = {PMON_WHOLE, PMON_MICROSECONDS, PMON_NANOSECONDS};
	uint64		counts[PMON_HOLD_BUCKETS];
	PmonHistogram histogram = {PMON_ALL_OCTAVES, counts};
	double		ratio;

	pmon_begin_family(out, family->metric);
	switch (family->kind)
	{
		case KIND_WHOLE:
		case KIND_MICROSECONDS:
		case KIND_NANOSECONDS:
			pmon_add_sample(out, &family->labels, family->value, decimals[family->kind]);
			break;
		case KIND_RATIO:
			memcpy(&ratio, &family->value, sizeof(ratio));
			pmon_add_ratio(out, &family->labels, ratio);
			break;
		case KIND_ENUMERATION:
			pmon_add_enumeration(out, &family->labels, "word", words, lengthof(words),
								 (int) family->value);
			break;
		case KIND_HISTOGRAM:
			make_histogram(family->value, counts);
			pmon_add_histogram(out, &family->labels, &histogram,
							   Max(family->value, 0));
			break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	FuzzInput	input = {data, size};
	Family		families[MAX_FAMILIES];
	PmonExposition out;
	int			n = 0;

	pmon_begin_exposition(&out, PMON_OPENMETRICS);
	do
	{
		take_family(&input, &families[n]);
		write_family(&out, &families[n++]);
	} while (n < MAX_FAMILIES && input.left > 0);

	cursor = pmon_end_exposition(&out);
	require(strlen(cursor) == out.text.len, "a zero byte in the text");
	for (int i = 0; i < n; i++)
		expect_family(&families[i]);
	require(strcmp(cursor, "# EOF") == 0, "after all families: \"%.40s\"", cursor);

	free(out.text.data);
	for (int i = 0; i < n; i++)
	{
		for (int j = 0; j < families[i].labels.n; j++)
			free(unconstify(char *, families[i].labels.labels[j].value));
	}
	return 0;
}
