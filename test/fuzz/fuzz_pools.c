/* links: pure/pools.c pure/pools_parser.c pure/client_network.c pure/duration.c */
/*-------------------------------------------------------------------------
 *
 * fuzz_pools.c
 *	  The setting pool_monitor.pools: any value is refused with a position
 *	  inside it, or means what it says when it is written back; and a session
 *	  is in the first pool whose conditions hold.
 *
 * The input is the value, a zero byte, and a session: its application, role
 * and database, each with a zero byte, one for the kind of its client, and its
 * address.  test/unit/fuzz_pools.c is the other half: there values are drawn
 * by the grammar, and it is known what they mean.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fuzz.h"
#include "pools_checks.h"

/* Longer ones only repeat what shorter ones do, and matching is a product. */
#define MAX_TEXT	300

static void
complain(const char *what)
{
	require(false, "%s", what);
}

/*
 * Does the pattern match, by its definition?  matched[i][j] says whether what
 * is left of the pattern from i matches what is left of the text from j.
 */
static bool
matches(const char *pattern, const char *str)
{
	static bool matched[PMON_PATTERN_LEN][MAX_TEXT + 1];
	int			npattern = (int) strlen(pattern);
	int			ntext = (int) strlen(str);

	for (int i = npattern; i >= 0; i--)
	{
		for (int j = ntext; j >= 0; j--)
		{
			int			step = pmon_utf8_length(str + j);

			if (i == npattern)
				matched[i][j] = j == ntext;
			else if (pattern[i] == '*')
				matched[i][j] = matched[i + 1][j] ||
					(j < ntext && matched[i][j + step]);
			else if (j == ntext)
				matched[i][j] = false;
			else if (pattern[i] == '?')
				matched[i][j] = matched[i + 1][j + step];
			else
				matched[i][j] = pattern[i] == str[j] && matched[i + 1][j + 1];
		}
	}
	return matched[0][0];
}

static bool
belongs(const PmonPool *pool, const PmonPoolSubject *subject)
{
	return (!pool->has_application || matches(pool->application, subject->application_name)) &&
		(!pool->has_user || matches(pool->user, subject->usename)) &&
		(!pool->has_database || matches(pool->database, subject->datname)) &&
		pmon_network_contains(&pool->client, &subject->client);
}

/* The session's text, cut off where it is too long */
static char *
take_name(FuzzInput *input)
{
	char	   *name = take_text(input);

	if (strlen(name) > MAX_TEXT)
		name[MAX_TEXT] = '\0';
	return name;
}

static void
check_match(const PmonPools *pools, FuzzInput *input)
{
	char	   *application_name = take_name(input);
	char	   *usename = take_name(input);
	char	   *datname = take_name(input);
	PmonPoolSubject subject = {application_name, usename, datname};
	int			found;

	subject.client.kind = take_byte(input) % (PMON_CLIENT_INET6 + 1);
	take_bytes(input, subject.client.address, sizeof(subject.client.address));

	found = pmon_pools_match(pools, &subject);
	require(found >= -1 && found < pools->npools, "pool %d", found);
	for (int i = 0; i < (found >= 0 ? found : pools->npools); i++)
		require(!belongs(&pools->pools[i], &subject), "passed over pool %d", i);
	require(found == -1 || belongs(&pools->pools[found], &subject),
			"does not belong to pool %d", found);

	free(application_name);
	free(usename);
	free(datname);
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	FuzzInput	input = {data, size};
	char	   *value = take_text(&input);
	bool		accepted;
	PmonPools  *pools = check_pools(value, &accepted);

	if (accepted)
		check_match(pools, &input);
	free(pools);
	free(value);
	return 0;
}
