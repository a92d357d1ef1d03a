/* links: pure/duration.c */
/*-------------------------------------------------------------------------
 *
 * fuzz_duration.c
 *	  Durations: what is read is in range, and is read back as it is written.
 *
 * The input is the text of a duration.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pure/duration.h"
#include "fuzz.h"
#include "../unit/setting_writer.h"

#define UNSET	INT64CONST(-4711)

/* Parse before, str and after as one; *milliseconds is set only by success. */
static PmonDurationResult
parse(const char *before, const char *str, const char *after,
	  int64 *milliseconds)
{
	char	   *all = malloc(strlen(before) + strlen(str) + strlen(after) + 1);
	PmonDurationResult result;

	strcpy(all, before);
	strcat(all, str);
	strcat(all, after);
	*milliseconds = UNSET;
	result = pmon_duration_parse(all, milliseconds);
	require(result == PMON_DURATION_OK || *milliseconds == UNSET,
			"a value is set though the duration is refused");
	free(all);
	return result;
}

static void
check_round_trip(int64 milliseconds)
{
	char		written[DURATION_LEN];
	int64		again;

	memset(written, 'x', sizeof(written));
	format_duration(milliseconds, written);
	require(memchr(written, '\0', sizeof(written)) != NULL, "no end");
	require(parse("", written, "", &again) == PMON_DURATION_OK,
			"\"%s\" is refused", written);
	require(again == milliseconds, "\"%s\" is another duration", written);
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	FuzzInput	input = {data, size};
	char	   *str = take_text(&input);
	int64		milliseconds;
	int64		other;
	PmonDurationResult result = parse("", str, "", &milliseconds);

	if (result == PMON_DURATION_OK)
	{
		require(milliseconds >= 0 && milliseconds <= PMON_MAX_DURATION,
				"out of range");
		check_round_trip(milliseconds);
	}

	/* blanks make no difference; as in core, " .5" is the exception */
	require(parse("", str, " \v\f\r", &other) == result && other == milliseconds,
			"blanks after it");
	if (str[0] >= '0' && str[0] <= '9')
	{
		require(parse(" \t\n", str, "", &other) == result && other == milliseconds,
				"blanks before it");

		/* and nothing that is not zero can be negated */
		require(result != PMON_DURATION_OK ||
				parse("-", str, "", &other) ==
				(milliseconds > 0 ? PMON_DURATION_OUT_OF_RANGE : PMON_DURATION_OK),
				"negated");
	}
	free(str);

	input.data = data;
	input.left = size;
	check_round_trip((int64) ((uint64) take_int64(&input) % (PMON_MAX_DURATION + 1)));
	return 0;
}
