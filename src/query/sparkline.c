/*-------------------------------------------------------------------------
 *
 * sparkline.c
 *	  A line of figures as a line of blocks, to look at in psql.
 *
 * See sparkline.h.  The largest value gets the fullest block, and the emptiest one
 * is for 0 alone, so that what is little does not look like nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#include "query/sparkline.h"

#define LEVELS	8

char *
pmon_sparkline(const int *values, const bool *known, int n)
{
	/* U+2581 to U+2588, lower one eighth block to full block */
	static const char *const blocks[LEVELS] = {
		"\xE2\x96\x81", "\xE2\x96\x82", "\xE2\x96\x83", "\xE2\x96\x84",
		"\xE2\x96\x85", "\xE2\x96\x86", "\xE2\x96\x87", "\xE2\x96\x88"
	};
	static const char *const ascii[LEVELS] = {
		"_", ".", ":", "-", "=", "+", "*", "#"
	};
	int			client = pg_get_client_encoding();
	const char *const *levels = GetDatabaseEncoding() == PG_UTF8 &&
	(client == PG_UTF8 || client == PG_SQL_ASCII) ? blocks : ascii;
	StringInfoData line;
	int			largest = 0;

	initStringInfo(&line);
	for (int i = 0; i < n; i++)
	{
		if (known[i])
			largest = Max(largest, values[i]);
	}

	for (int i = 0; i < n; i++)
	{
		int			level = 0;

		if (!known[i])
		{
			appendStringInfoChar(&line, ' ');
			continue;
		}

		/* the lowest one is for 0 alone */
		if (values[i] > 0)
			level = (int) (((int64) values[i] * (LEVELS - 1) + largest - 1) / largest);
		appendStringInfoString(&line, levels[level]);
	}
	return line.data;
}
