/* links: query/openmetrics.c pure/hold_histogram.c */
/*-------------------------------------------------------------------------
 *
 * test_openmetrics.c
 *	  The text format: names, escapes, numbers, histograms.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>
#include <math.h>

#include "query/openmetrics.h"
#include "fakes/require.h"
#include "tap.h"

static PmonExposition out;

/* What has been written since the last call */
static const char *
written(void)
{
	static char *copy = NULL;

	free(copy);
	copy = strdup(out.text.data);
	out.text.len = 0;
	out.text.data[0] = '\0';
	return copy;
}

static void
test_escapes(void)
{
	static const struct
	{
		const char *text;
		const char *escaped;
	}			cases[] =
	{
		{"", ""},
		{"api-1", "api-1"},
		{"a\"b\"", "a\\\"b\\\""},
		{"c:\\new", "c:\\\\new"},
		{"\n", "\\n"},
		{"\\n", "\\\\n"},
		{"\\\"\n\\", "\\\\\\\"\\n\\\\"},
		{"{a=\"b\"} 1\n# EOF\n", "{a=\\\"b\\\"} 1\\n# EOF\\n"},
		{"tab\tcr\rbell\a", "tab\tcr\rbell\a"},
		{"\xc3\xa9\xf0\x9f\x90\x8d", "\xc3\xa9\xf0\x9f\x90\x8d"},
		{"%s%n%d", "%s%n%d"}
	};

	for (int i = 0; i < lengthof(cases); i++)
	{
		pmon_escape(&out.text, cases[i].text);
		is_str(written(), cases[i].escaped, "a text is escaped");
	}
}

static void
test_numbers(void)
{
	static const struct
	{
		int64		value;
		int			decimals;
		const char *number;
	}			cases[] =
	{
		{0, PMON_WHOLE, "0"},
		{42, PMON_WHOLE, "42"},
		{-7, PMON_WHOLE, "-7"},
		{PG_INT64_MAX, PMON_WHOLE, "9223372036854775807"},
		{PG_INT64_MIN, PMON_WHOLE, "-9223372036854775808"},
		{0, PMON_MICROSECONDS, "0.000000"},
		{1, PMON_MICROSECONDS, "0.000001"},
		{-1, PMON_MICROSECONDS, "-0.000001"},
		{1000000, PMON_MICROSECONDS, "1.000000"},
		{1700000000123456, PMON_MICROSECONDS, "1700000000.123456"},
		{PG_INT64_MIN, PMON_MICROSECONDS, "-9223372036854.775808"},
		{45678, PMON_NANOSECONDS, "0.000045678"},
		{12000000000, PMON_NANOSECONDS, "12.000000000"}
	};

	for (int i = 0; i < lengthof(cases); i++)
	{
		char		expected[200];

		pmon_begin_family(&out, PMON_METRIC_HEADROOM);
		written();
		pmon_add_sample(&out, NULL, cases[i].value, cases[i].decimals);
		snprintf(expected, sizeof(expected), "pool_monitor_headroom_connections %s\n",
				 cases[i].number);
		is_str(written(), expected, "a number is written without rounding");
	}
	pmon_add_ratio(&out, NULL, 0.25);
	is_str(written(), "pool_monitor_headroom_connections 0.25\n", "so is a fraction");
}

static void
test_families(void)
{
	PmonLabels	labels = {0};
	static const char *const words[] = {"red", "green"};

	pmon_begin_family(&out, PMON_METRIC_MEMORY);
	is_str(written(),
		   "# TYPE pool_monitor_memory_bytes gauge\n"
		   "# UNIT pool_monitor_memory_bytes bytes\n"
		   "# HELP pool_monitor_memory_bytes Shared memory of the extension.\n",
		   "a family starts with its type, unit and help");

	pmon_begin_family(&out, PMON_METRIC_SESSION_TIME);
	written();
	pmon_add_label(&labels, "datname", "a\"b");
	pmon_add_label(&labels, "usename", "");
	pmon_add_sample(&out, &labels, 1500000, PMON_MICROSECONDS);
	is_str(written(),
		   "pool_monitor_session_seconds_total{datname=\"a\\\"b\",usename=\"\"} 1.500000\n",
		   "the samples of a counter end in _total");

	pmon_begin_family(&out, PMON_METRIC_STATUS);
	written();
	pmon_add_enumeration(&out, NULL, "status", words, 2, 1);
	is_str(written(),
		   "pool_monitor_status{status=\"red\"} 0\n"
		   "pool_monitor_status{status=\"green\"} 1\n",
		   "an enumeration has a series for each word");
	labels.n = 1;
	pmon_add_enumeration(&out, &labels, "status", words, 2, 0);
	is_str(written(),
		   "pool_monitor_status{datname=\"a\\\"b\",status=\"red\"} 1\n"
		   "pool_monitor_status{datname=\"a\\\"b\",status=\"green\"} 0\n",
		   "after its other labels");

	pmon_add_metric(&out, PMON_METRIC_WORKER_UP, 1);
	is_str(strrchr(out.text.data, '#'),
		   "# HELP pool_monitor_worker_up Whether the background worker runs.\n"
		   "pool_monitor_worker_up 1\n",
		   "a family can be a single sample");
	written();
	is_str(pmon_end_exposition(&out), "# EOF", "nothing follows the end");
	written();
}

/* Does a text end in another one, after an underscore? */
static bool
has_suffix(const char *text, const char *suffix)
{
	size_t		length = strlen(text);
	size_t		tail = strlen(suffix);

	return length > tail + 1 && strcmp(text +length - tail, suffix) == 0 &&
		text[		length - tail - 1] == '_';
}

static void
test_descriptors(void)
{
	bool		all_named = true;
	bool		all_valid = true;
	bool		all_unique = true;
	bool		all_units = true;
	bool		no_reserved = true;
	bool		all_helped = true;
	static const char *const reserved[] = {
		"total", "created", "bucket", "count", "sum", "info", "gcount", "gsum"
	};
	static const char *const units[] = {"seconds", "bytes", "ratio"};

	for (int i = 0; i < PMON_METRICS; i++)
	{
		const char *name = pmon_metric_name(i);
		const char *text;

		all_named &= name != NULL;
		if (name == NULL)
			continue;
		for (const char *p = name; *p != '\0'; p++)
			all_valid &= islower((unsigned char) *p) || *p == '_';
		for (int j = 0; j < i; j++)
			all_unique &= strcmp(name, pmon_metric_name(j)) != 0;
		for (int j = 0; j < lengthof(reserved); j++)
			no_reserved &= !has_suffix(name, reserved[j]);

		pmon_begin_family(&out, i);
		text = written();

		for (int j = 0; j < lengthof(units); j++)
		{
			char		line[200];

			snprintf(line, sizeof(line), "# UNIT pool_monitor_%s %s\n", name, units[j]);
			all_units &= has_suffix(name, units[j]) == (strstr(text, line) != NULL);
		}
		all_helped &= strcmp(text +strlen(text) - 2, ".\n") == 0;
	}
	ok(all_named, "every metric has a name");
	ok(all_valid, "names are lower case letters and underscores");
	ok(all_unique, "no two are the same");
	ok(no_reserved, "none ends in what the format reserves");
	ok(all_units, "a name ends in its unit, and a unit is stated");
	ok(all_helped, "every help is a sentence");
}

/* The counts of a histogram's buckets, against the hold times themselves */
static void
test_histogram(void)
{
	static uint64 counts[PMON_HOLD_BUCKETS];
	PmonHistogram histogram = {PMON_ALL_OCTAVES, counts};
	static uint64 values[20000];
	uint64		sum = 0;
	uint64		seed = 42;
	char	   *text;
	char	   *line;
	int			nbuckets = 0;
	bool		exact = true;
	bool		rising = true;
	bool		narrow = true;
	double		before = -1;
	PmonLabels	labels = {0};

	/* each power of two and its neighbours, and many others */
	for (int i = 0; i < lengthof(values); i++)
	{
		seed = seed * UINT64CONST(6364136223846793005) + UINT64CONST(1442695040888963407);
		if (i < 3 * 36)
			values[i] = (UINT64CONST(1) << (i / 3 + 1)) + (i % 3) - 1;
		else
			values[i] = (seed >> 20) >> (seed >> 58) % 40;
		values[i] = Min(values[i], (UINT64CONST(1) << PMON_HOLD_MAX_BITS) - 1);
		counts[pmon_hold_bucket(values[i])]++;
		sum += values[i];
	}

	pmon_begin_family(&out, PMON_METRIC_HOLD_TIME);
	written();
	pmon_add_label(&labels, "datname", "x");
	pmon_add_histogram(&out, &labels, &histogram, sum);
	text = strdup(written());

	for (line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
	{
		double		le;
		unsigned long long count;
		uint64		expected = 0;

		if (sscanf(line, "pool_monitor_hold_time_seconds_bucket{datname=\"x\",le=\"%lf\"} %llu",
				   &le, &count) != 2)
			break;
		nbuckets++;
		rising &= le > before;
		/* a bound is one microsecond below a power of two */
		if (before > 0.001 && le < 64)
			narrow &= le + 1e-6 <= (before + 1e-6) * 2.0000001;
		before = le;
		for (int i = 0; i < lengthof(values); i++)
			expected += (double) values[i] / 1e6 <= le;
		exact &= count == expected;
		if (count != expected)
			printf("# le %f: got %llu, expected %llu\n", le, count,
				   (unsigned long long) expected);
	}
	ok(nbuckets >= 12 && nbuckets <= 24, "a histogram has a moderate number of buckets");
	ok(narrow, "from 1 ms to 1 min each bound is at most twice the one before");
	ok(rising, "their bounds rise");
	ok(exact, "each has exactly the hold times up to its bound");
	is_int(before < 0 ? 0 : isinf(before), 1, "the last one has all");
	ok(line != NULL && strcmp(line, "pool_monitor_hold_time_seconds_count{datname=\"x\"} 20000") == 0,
	   "so has the count");
	line = strtok(NULL, "\n");
	ok(line != NULL && strncmp(line, "pool_monitor_hold_time_seconds_sum{datname=\"x\"} ", 47) == 0 &&
	   fabs(strtod(line + 47, NULL) * 1e6 - (double) sum) < 1, "the sum is in seconds");
	ok(strtok(NULL, "\n") == NULL, "and that is all");
	free(text);
}

/* Prometheus' older format: other names of counters, no units and no end */
static void
test_older_format(void)
{
	pmon_begin_exposition(&out, PMON_PROMETHEUS);
	pmon_begin_family(&out, PMON_METRIC_SESSION_TIME);
	pmon_add_sample(&out, NULL, 1500000, PMON_MICROSECONDS);
	is_str(written(),
		   "# TYPE pool_monitor_session_seconds_total counter\n"
		   "# HELP pool_monitor_session_seconds_total Time that sessions were connected.\n"
		   "pool_monitor_session_seconds_total 1.500000\n",
		   "in the older format a counter is called as its samples are, without a unit");
	pmon_add_metric(&out, PMON_METRIC_WORKER_UP, 1);
	is_str(written(),
		   "# TYPE pool_monitor_worker_up gauge\n"
		   "# HELP pool_monitor_worker_up Whether the background worker runs.\n"
		   "pool_monitor_worker_up 1\n",
		   "a gauge is called the same");
	pmon_begin_family(&out, PMON_METRIC_HOLD_TIME);
	ok(strstr(written(), "# TYPE pool_monitor_hold_time_seconds histogram\n") != NULL,
	   "so is a histogram");
	is_str(pmon_end_exposition(&out), "", "there is no line for the end");
}

int
main(void)
{
	pmon_begin_exposition(&out, PMON_OPENMETRICS);
	test_escapes();
	test_numbers();
	test_families();
	test_descriptors();
	test_histogram();
	test_older_format();
	return tap_done();
}
