/* links: pure/sql_tags.c */
/*-------------------------------------------------------------------------
 *
 * fuzz_sql_tags.c
 *	  Comments of statements: whatever they are, tags are lines of known keys.
 *
 * The input is a statement, which need not end with a zero byte.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pure/sql_tags.h"
#include "fuzz.h"

static void
check_tags(const PmonTagKeys *keys, const char *tags, int length)
{
	const char *line = tags;
	int			last = -1;

	require(length >= 0 && length < PMON_TAGS_LEN && strlen(tags) == length,
			"the length is not that of the tags");
	while (*line != '\0')
	{
		const char *equals = strchr(line, '=');
		const char *end = strchr(line, '\n');
		int			key = 0;

		require(equals != NULL && end != NULL && equals < end - 1, "a line without a value");
		require(end - equals <= PMON_TAG_VALUE_LEN, "a value is too long");
		while (key < keys->n &&
			   (strlen(keys->names[key]) != equals - line || memcmp(keys->names[key], line, equals - line) != 0))
			key++;
		require(key < keys->n && key > last, "a key is unknown, or not in its order");
		last = key;
		for (const char *p = equals + 1; p < end; p++)
			require((unsigned char) *p >= ' ' && *p != 0x7F, "a control character");
		line = end + 1;
	}
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	static PmonTagKeys keys;
	char		tags[PMON_TAGS_LEN];
	char	   *statement = malloc(size + 1);
	int			mistake;

	if (keys.n == 0)
		pmon_parse_tag_keys("a, b, route", &keys, &mistake);
	memcpy(statement, data, size);
	statement = realloc(statement, Max(size, 1));
	memset(tags, 'x', sizeof(tags));
	check_tags(&keys, tags, pmon_leading_tags(&keys, statement, (int) size, tags));
	memset(tags, 'x', sizeof(tags));
	check_tags(&keys, tags, pmon_trailing_tags(&keys, statement, (int) size, tags));
	memset(tags, 'x', sizeof(tags));
	check_tags(&keys, tags, pmon_statement_tags(&keys, statement, (int) size, tags));
	free(statement);

	/* the same bytes as a list of keys */
	{
		char	   *list = malloc(size + 1);
		PmonTagKeys read;

		memcpy(list, data, size);
		list[size] = '\0';
		mistake = -1;
		if (!pmon_parse_tag_keys(list, &read, &mistake))
			require(mistake >= 0 && mistake <= strlen(list), "a mistake that is nowhere");
		for (int i = 0; i < read.n; i++)
			require(strlen(read.names[i]) > 0 && strlen(read.names[i]) < PMON_TAG_KEY_LEN, "a key without a name");
		free(list);
	}
	return 0;
}
