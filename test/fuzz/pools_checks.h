/*-------------------------------------------------------------------------
 *
 * pools_checks.h
 *	  What holds for any value of pool_monitor.pools, refused or accepted.
 *
 * The includer defines complain(), which is called with what does not hold.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_POOLS_CHECKS_H
#define PMON_POOLS_CHECKS_H

#include "pure/pools.h"
#include "pure/pools_parser.h"
#include "../unit/setting_writer.h"

static void complain(const char *what);

/* Parse into a block of exactly the needed size, filled with rubbish. */
static PmonPools *
parse(const char *str, PmonPoolsError *error, bool *accepted)
{
	Size		bound = pmon_pools_count_bound(str);
	PmonPools  *pools = malloc(PMON_POOLS_SIZE(bound));
	char	   *copy = strdup(str);

	memset(pools, 0xA5, PMON_POOLS_SIZE(bound));
	memset(error, 0xA5, sizeof(*error));
	*accepted = pmon_pools_parse(copy, pools, (int) bound, error);
	free(copy);

	return pools;
}

static void
check_error(const char *value, const PmonPoolsError *error)
{
	int			characters = 0;
	char		detail[512];

	for (const char *p = value; *p != '\0'; p++)
		characters += (*p & 0xC0) != 0x80;

	if (error->position < 1 || error->position > characters + 1)
		complain("position outside of the value");
	if (memchr(error->message, '\0', sizeof(error->message)) == NULL ||
		memchr(error->pool, '\0', sizeof(error->pool)) == NULL ||
		memchr(error->key, '\0', sizeof(error->key)) == NULL)
	{
		complain("unterminated text in the error");
		return;
	}
	if (strlen(error->message) < 10 ||
		(error->message[0] >= 'A' && error->message[0] <= 'Z') ||
		error->message[strlen(error->message) - 1] == '.')
		complain("malformed message");

	pmon_pools_error_detail(error, detail, sizeof(detail));
	if (detail[strlen(detail) - 1] != '.')
		complain("detail cut off");
}

/* Write the pools back, and see that reading that gives the same pools. */
static void
check_round_trip(const PmonPools *pools)
{
	static char written[PMON_MAX_POOLS * (POOL_TEXT_LEN + 2)];
	Size		length = 0;
	PmonPoolsError error;
	PmonPools  *again;
	bool		accepted;

	written[0] = '\0';
	for (int i = 0; i < pools->npools; i++)
	{
		Size		needed;

		if (i > 0)
		{
			strcpy(written + length, "; ");
			length += 2;
		}
		needed = format_pool(&pools->pools[i], written + length,
							 POOL_TEXT_LEN);
		if (needed >= POOL_TEXT_LEN)
			complain("no room to write a pool");
		length += needed;
	}

	again = parse(written, &error, &accepted);
	if (!accepted)
		complain("refused when written back");
	else if (again->npools != pools->npools ||
			 memcmp(again->pools, pools->pools,
					pools->npools * sizeof(PmonPool)) != 0)
		complain("other pools when written back");
	free(again);
}

/* Parse the value and check what came of it.  Returns the pools, malloc'd. */
static PmonPools *
check_pools(const char *value, bool *accepted)
{
	PmonPoolsError error;
	PmonPools  *pools = parse(value, &error, accepted);

	if (*accepted)
		check_round_trip(pools);
	else
	{
		if (pools->npools != 0)
			complain("pools left by a refused value");
		check_error(value, &error);
	}
	return pools;
}

#endif							/* PMON_POOLS_CHECKS_H */
