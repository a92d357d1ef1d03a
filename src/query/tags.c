/*-------------------------------------------------------------------------
 *
 * tags.c
 *	  Tags of statements, as SQL shows them.
 *
 * See tags.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "utils/json.h"

#include "query/tags.h"
#include "shared/groups.h"
#include "shared/settings.h"

static void
append_string(StringInfo json, const char *text, int length)
{
	char	   *copy = palloc0(length + 1);

	pmon_copy_foreign_text(copy, text, length);
	escape_json(json, copy);
}

void
pmon_put_tags(PmonRow *row, const char *tags, int length)
{
	const char *end = tags + length;
	StringInfoData json;

	if (length == 0)
	{
		pmon_put_null(row);
		return;
	}
	initStringInfo(&json);
	while (tags < end)
	{
		const char *line_end = memchr(tags, '\n', end - tags);
		const char *equals = memchr(tags, '=', end - tags);

		if (line_end == NULL || equals == NULL || equals > line_end)
			break;
		appendStringInfoChar(&json, json.len == 0 ? '{' : ',');
		append_string(&json, tags, equals - tags);
		appendStringInfoChar(&json, ':');
		append_string(&json, equals + 1, line_end - equals - 1);
		tags = line_end + 1;
	}
	appendStringInfoString(&json, json.len == 0 ? "{}" : "}");
	pmon_put_json(row, json.data);
}

void
pmon_put_statement_tags(PmonRow *row, const char *statement)
{
	char		tags[PMON_TAGS_LEN];
	int			length = 0;

	if (statement != NULL)
		length = pmon_statement_tags(&pmon_tag_keys, statement,
									 (int) strlen(statement), tags);
	pmon_put_tags(row, tags, length);
}

void
pmon_put_other_tags(PmonRow *row)
{
	StringInfoData json;

	initStringInfo(&json);
	escape_json(&json, PMON_OTHER_APPLICATION);
	pmon_put_json(row, json.data);
}
