/* links: pure/pools.c pure/pools_parser.c pure/client_network.c pure/duration.c */
/*-------------------------------------------------------------------------
 *
 * test_pools.c
 *	  Declared pools: what is accepted and refused, matching, figures.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <limits.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "pure/duration.h"
#include "pure/pools.h"
#include "pure/pools_parser.h"
#include "setting_writer.h"
#include "tap.h"

/* Names and patterns that just fit, and those that just do not */
#define TEN			"0123456789"
#define NAME_63		TEN TEN TEN TEN TEN TEN "abc"
#define NAME_64		NAME_63 "d"
#define PATTERN_127 NAME_64 NAME_63
#define PATTERN_128 NAME_64 NAME_64

/* Parse into a block of exactly the size that the bound asks for. */
static PmonPools *
parse(const char *value, PmonPoolsError *error)
{
	Size		bound = pmon_pools_count_bound(value);
	PmonPools  *pools = malloc(PMON_POOLS_SIZE(bound));

	if (!pmon_pools_parse(value, pools, (int) bound, error))
	{
		free(pools);
		return NULL;
	}
	return pools;
}

/* Write all pools as one value of the setting. */
static void
format_pools(const PmonPools *pools, char *buf, Size size)
{
	Size		length = 0;

	buf[0] = '\0';
	for (int i = 0; i < pools->npools; i++)
	{
		if (i > 0)
			length += snprintf(buf + length, size - length, "; ");
		length += format_pool(&pools->pools[i], buf + length,
							  size - length);
	}
}

typedef struct Accepted
{
	const char *value;
	const char *shown;			/* what it means, as it is written back */
} Accepted;

static const Accepted accepted[] = {
	{"", ""},
	{" \t\n", ""},
	{"api:", "api:"},
	{"api:;", "api:"},
	{" api : ; ", "api:"},
	{"api:size=20", "api: size=20"},
	{"api: application=api-* database=shop size=20 overflow=30 instances=4 idle_timeout=10min; workers: application=\"celery worker\" size=10 overflow=5; backup: user=backup idle_timeout=0",
	"api: application=api-* database=shop size=20 overflow=30 instances=4 idle_timeout=10min; workers: application=\"celery worker\" size=10 overflow=5; backup: user=backup idle_timeout=0"},
	{"keep_idle: keep_idle=3 max_lifetime=1d idle_in_transaction_timeout=90s size=5 user=u",
	"keep_idle: user=u size=5 idle_in_transaction_timeout=90s max_lifetime=1d keep_idle=3"},
	{"a:size=1;b:size=2;c:size=3;", "a: size=1; b: size=2; c: size=3"},
	{"a:\tsize=1\n;\nb:", "a: size=1; b:"},

	/* names */
	{"\"my pool\": size=1", "\"my pool\": size=1"},
	{"\"a;b:c=d\": size=1", "\"a;b:c=d\": size=1"},
	{"\"say \"\"hi\"\"\": size=1", "\"say \"\"hi\"\"\": size=1"},
	{"\"plain\": size=1", "plain: size=1"},
	{"größe: size=1", "größe: size=1"},
	{NAME_63 ":", NAME_63 ":"},

	/* patterns */
	{"a: application=\"\"", "a: application=\"\""},
	{"a: application=*", "a: application=*"},
	{"a: application=\"x;y:z w\"", "a: application=\"x;y:z w\""},
	{"a: application=\"\"\"\"", "a: application=\"\"\"\""},
	{"a: application=k=v", "a: application=\"k=v\""},
	{"a: application=" PATTERN_127, "a: application=" PATTERN_127},
	{"a: user=o'brien database=a,b", "a: user=o'brien database=a,b"},

	/* clients */
	{"a: client=local", "a: client=local"},
	{"a: client=10.0.0.0/8", "a: client=10.0.0.0/8"},
	{"a: client=192.168.1.7", "a: client=192.168.1.7"},
	{"a: client=0.0.0.0/0", "a: client=0.0.0.0/0"},
	{"a: client=192.168.1.7/32", "a: client=192.168.1.7/32"},
	{"a: client=::1", "a: client=::1"},
	{"a: client=::1/128", "a: client=::1/128"},
	{"a: client=fd00::/8;", "a: client=fd00::/8"},
	{"a: client=\"fd00::/8\"", "a: client=fd00::/8"},
	{"a: client=::ffff:10.0.0.0/104", "a: client=::ffff:10.0.0.0/104"},

	/* whole numbers */
	{"a: size=0 overflow=5", "a: size=0 overflow=5"},
	{"a: overflow=5 size=0", "a: size=0 overflow=5"},
	{"a: size=262143 overflow=262143 instances=262143 keep_idle=262143",
	"a: size=262143 overflow=262143 instances=262143 keep_idle=262143"},
	{"a: size=007 overflow=+3 instances=1 keep_idle=-0", "a: size=7 overflow=3"},
	{"a: size=\"7\"", "a: size=7"},

	/* durations */
	{"a: idle_timeout=500", "a: idle_timeout=500ms"},
	{"a: idle_timeout=1500us", "a: idle_timeout=2ms"},
	{"a: idle_timeout=1ms", "a: idle_timeout=1ms"},
	{"a: idle_timeout=1.5h", "a: idle_timeout=90min"},
	{"a: idle_timeout=0.03d", "a: idle_timeout=1h"},
	{"a: idle_timeout=.5s", "a: idle_timeout=500ms"},
	{"a: idle_timeout=1e3s", "a: idle_timeout=1000s"},
	{"a: idle_timeout=0x10s", "a: idle_timeout=16s"},
	{"a: idle_timeout=0s", "a: idle_timeout=0"},
	{"a: idle_timeout=\" 5 min \"", "a: idle_timeout=5min"},
	{"a: max_lifetime=30d", "a: max_lifetime=30d"},
	{"a: max_lifetime=36500d", "a: max_lifetime=36500d"},
	{"a: max_lifetime=3153600000000", "a: max_lifetime=36500d"},

	/* never */
	{"a: terminate=never", "a: terminate=never"},
	{"a: min_idle=3 size=5 closes_idle=10s", "a: size=5 closes_idle=10s min_idle=3"},
	{"a: closes_idle=0", "a: closes_idle=0"},
	{"a: terminate=never closes_idle=10min", "a: terminate=never closes_idle=10min"},
	{"a: keep_idle=2 terminate=\"never\" user=backup", "a: user=backup terminate=never keep_idle=2"},
	{"a: idle_timeout=0 idle_in_transaction_timeout=0 max_lifetime=0", "a: terminate=never"},
	{"a: idle_timeout=0 idle_in_transaction_timeout=0", "a: idle_timeout=0 idle_in_transaction_timeout=0"},
};

static void
test_accepted(void)
{
	char		shown[8192];
	char		fact[1024];

	for (int i = 0; i < lengthof(accepted); i++)
	{
		PmonPoolsError error;
		PmonPools  *pools = parse(accepted[i].value, &error);

		/* TAP is read by lines */
		snprintf(fact, sizeof(fact), "[%.60s] is accepted and shown as meant",
				 accepted[i].value);
		for (char *p = fact; *p != '\0'; p++)
		{
			if (*p == '\n' || *p == '\t')
				*p = ' ';
		}

		if (pools == NULL)
		{
			ok(false, "%s", fact);
			printf("# %d: %s\n", error.position, error.message);
			continue;
		}
		format_pools(pools, shown, sizeof(shown));
		is_str(shown, accepted[i].shown, fact);
		free(pools);
	}
}

typedef struct Refused
{
	const char *value;
	int			position;
	const char *pool;
	const char *key;
	const char *message;
	bool		hint;
} Refused;

static const Refused refused[] = {
	/* where a pool's name should be */
	{";", 1, "", "", "expected a pool's name before \";\"", true},
	{"a:;;", 4, "", "", "expected a pool's name before \";\"", true},
	{" ; a:", 2, "", "", "expected a pool's name before \";\"", true},
	{": size=1", 1, "", "", "expected a pool's name before \":\"", true},
	{"=1", 1, "", "", "expected a pool's name before \"=\"", true},
	{"\"\": size=1", 1, "", "", "the pool's name is empty", false},
	{"api", 4, "", "", "expected \":\" after the pool's name \"api\"", true},
	{"api size=1", 5, "", "", "expected \":\" after the pool's name \"api\"", true},
	{"size=1", 5, "", "", "expected \":\" after the pool's name \"size\"", true},
	{"a: size=1; b", 13, "", "", "expected \":\" after the pool's name \"b\"", true},
	{NAME_64 ": size=1", 1, "", "",
	"the pool's name \"0123456789012345678901234567890123456789...\" is too long: 64 bytes, the limit is 63", false},
	{"\"a\nb\": size=1", 1, "", "", "the pool's name contains a control character", false},
	{"a\177b: size=1", 1, "", "", "the pool's name contains a control character", false},
	{"a: size=1; a: size=2", 12, "a", "", "pool \"a\" is declared twice", false},
	{"a: ; \"a\":", 6, "a", "", "pool \"a\" is declared twice", false},

	/* double quotes */
	{"\"a: size=1", 1, "", "", "unterminated double quote", false},
	{"a: application=\"x", 16, "a", "application", "unterminated double quote", false},
	{"a: application=\"x\"\"", 16, "a", "application", "unterminated double quote", false},
	{"a\"b\": size=1", 2, "", "", "unexpected double quote after \"a\"", true},
	{"a: si\"ze=1", 6, "a", "", "unexpected double quote after \"si\"", true},
	{"a: application=x\"y\"", 17, "a", "application", "unexpected double quote after \"x\"", true},
	{"\"a\"b: size=1", 4, "", "", "unexpected character after the closing double quote of \"a\"", false},
	{"a: application=\"x\"size=1", 19, "a", "application",
	"unexpected character after the closing double quote of \"x\"", false},
	{"a: \"size\"=1", 4, "a", "", "expected a key, found a double quote", true},

	/* keys */
	{"a: =1", 4, "a", "", "expected a key before \"=\"", true},
	{"a: : size=1", 4, "a", "", "expected a key before \":\"", true},
	{"a:: size=1", 3, "a", "", "expected a key before \":\"", true},
	{"a: pool_size=1", 4, "a", "pool_size", "unknown key \"pool_size\"", true},
	{"a: Size=1", 4, "a", "Size", "unknown key \"Size\"", true},
	{"a: size=1 größe=2", 11, "a", "größe", "unknown key \"größe\"", true},
	{"größe: size=1 colour=2", 15, "größe", "colour", "unknown key \"colour\"", true},
	{"a: " NAME_63 "=1", 4, "a", "0123456789012345678901234567890",
	"unknown key \"0123456789012345678901234567890123456789...\"", true},
	{"a: size=1 size=1", 11, "a", "size", "key \"size\" is given twice", false},
	{"a: user=x database=d user=y", 22, "a", "user", "key \"user\" is given twice", false},

	/* between key and value */
	{"a: size", 8, "a", "", "expected \"=\" directly after \"size\"", true},
	{"a: size =1", 8, "a", "", "expected \"=\" directly after \"size\"", true},
	{"a: size; b:", 8, "a", "", "expected \"=\" directly after \"size\"", true},
	{"a: size=1 b: size=2", 12, "a", "", "expected \"=\" after \"b\", found \":\"", true},
	{"a: size=", 9, "a", "size", "no value after \"size=\"", false},
	{"a: size= 1", 9, "a", "size", "no value after \"size=\"", true},
	{"a: size=;", 9, "a", "size", "no value after \"size=\"", false},
	{"a: client= local", 11, "a", "client", "no value after \"client=\"", true},
	{"a: application=x:y", 17, "a", "application", "unexpected \":\" after \"x\"", true},
	{"a: application=\"x\": size=1", 19, "a", "application", "unexpected \":\" after \"x\"", true},

	/* patterns */
	{"a: application=" PATTERN_128, 16, "a", "application",
	"value \"0123456789012345678901234567890123456789...\" is too long: 128 bytes, the limit is 127", false},
	{"a: user=\"ééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé\"", 9, "a", "user",
	"value \"éééééééééééééééééééé...\" is too long: 130 bytes, the limit is 127", false},

	/* clients */
	{"a: client=somewhere", 11, "a", "client", "\"somewhere\" is not a client address", true},
	{"a: client=\"\"", 11, "a", "client", "\"\" is not a client address", true},
	{"a: client=10.0.0/8", 11, "a", "client", "\"10.0.0/8\" is not a client address", true},
	{"a: client=10.0.0.256", 11, "a", "client", "\"10.0.0.256\" is not a client address", true},
	{"a: client=local/8", 11, "a", "client", "\"local/8\" is not a client address", true},
	{"a: client=fe80::1%eth0", 11, "a", "client", "\"fe80::1%eth0\" is not a client address", true},
	{"a: client=0123456789012345678901234567890123456789abcdef", 11, "a", "client",
	"\"0123456789012345678901234567890123456789...\" is not a client address", true},
	{"a: client=0123456789012345678901234567890123456789abcdefg", 11, "a", "client",
	"\"0123456789012345678901234567890123456789...\" is not a client address", true},
	{"a: client=" TEN TEN TEN TEN TEN "/8", 11, "a", "client",
	"\"0123456789012345678901234567890123456789...\" is not a client address", true},
	{"a: client=" NAME_64, 11, "a", "client",
	"value \"0123456789012345678901234567890123456789...\" is too long: 64 bytes, the limit is 63", false},
	{"a: client=10.0.0.0/33", 11, "a", "client", "invalid prefix length in network \"10.0.0.0/33\"", false},
	{"a: client=::/129", 11, "a", "client", "invalid prefix length in network \"::/129\"", false},
	{"a: client=10.0.0.0/", 11, "a", "client", "invalid prefix length in network \"10.0.0.0/\"", false},
	{"a: client=10.0.0.0/-1", 11, "a", "client", "invalid prefix length in network \"10.0.0.0/-1\"", false},
	{"a: client=10.0.0.0/8x", 11, "a", "client", "invalid prefix length in network \"10.0.0.0/8x\"", false},
	{"a: client=10.0.0.0/0008", 11, "a", "client", "invalid prefix length in network \"10.0.0.0/0008\"", false},
	{"a: client=10.1.0.0/8", 11, "a", "client",
	"network \"10.1.0.0/8\" has bits set to the right of its prefix", false},
	{"a: client=fd00::1/64", 11, "a", "client",
	"network \"fd00::1/64\" has bits set to the right of its prefix", false},

	/* whole numbers */
	{"a: size=many", 9, "a", "size", "\"many\" is not a whole number", false},
	{"a: size=\"\"", 9, "a", "size", "\"\" is not a whole number", false},
	{"a: size=1.5", 9, "a", "size", "\"1.5\" is not a whole number", false},
	{"a: size=1e1", 9, "a", "size", "\"1e1\" is not a whole number", false},
	{"a: size=0x14", 9, "a", "size", "\"0x14\" is not a whole number", false},
	{"a: size=-", 9, "a", "size", "\"-\" is not a whole number", false},
	{"a: size=20,", 9, "a", "size", "\"20,\" is not a whole number", false},
	{"a: size=\" 1\"", 9, "a", "size", "\" 1\" is not a whole number", false},
	{"a: size=-1", 9, "a", "size", "-1 is outside the valid range (0 to 262143)", false},
	{"a: size=262144", 9, "a", "size", "262144 is outside the valid range (0 to 262143)", false},
	{"a: size=99999999999999999999999999999999", 9, "a", "size",
	"99999999999999999999999999999999 is outside the valid range (0 to 262143)", false},
	{"a: size=1 overflow=-1", 20, "a", "overflow", "-1 is outside the valid range (0 to 262143)", false},
	{"a: size=1 instances=0", 21, "a", "instances", "0 is outside the valid range (1 to 262143)", false},
	{"a: keep_idle=-5", 14, "a", "keep_idle", "-5 is outside the valid range (0 to 262143)", false},
	{"größe: size=x", 13, "größe", "size", "\"x\" is not a whole number", false},

	/* durations */
	{"a: idle_timeout=soon", 17, "a", "idle_timeout", "\"soon\" is not a duration", true},
	{"a: idle_timeout=\"\"", 17, "a", "idle_timeout", "\"\" is not a duration", true},
	{"a: idle_timeout=5m", 17, "a", "idle_timeout", "\"5m\" is not a duration", true},
	{"a: idle_timeout=5minutes", 17, "a", "idle_timeout", "\"5minutes\" is not a duration", true},
	{"a: idle_timeout=\"5 min x\"", 17, "a", "idle_timeout", "\"5 min x\" is not a duration", true},
	{"a: idle_timeout=nan", 17, "a", "idle_timeout", "\"nan\" is not a duration", true},
	{"a: idle_timeout=infinity", 17, "a", "idle_timeout", "\"infinity\" is not a duration", true},
	{"a: idle_in_transaction_timeout=-1", 32, "a", "idle_in_transaction_timeout",
	"-1 is outside the valid range (0 to 36500d)", false},
	{"a: max_lifetime=36501d", 17, "a", "max_lifetime", "36501d is outside the valid range (0 to 36500d)", false},
	{"a: max_lifetime=99999999999999999999d", 17, "a", "max_lifetime",
	"99999999999999999999d is outside the valid range (0 to 36500d)", false},
	{"a: max_lifetime=1e999", 17, "a", "max_lifetime", "1e999 is outside the valid range (0 to 36500d)", false},
	{"a: idle_timeout=100us", 17, "a", "idle_timeout", "100us rounds to zero", true},
	{"a: idle_timeout=0.0001d", 17, "a", "idle_timeout", "0.0001d rounds to zero", true},

	/* what no key can tell alone */
	{"a: overflow=5", 4, "a", "overflow", "\"overflow\" needs \"size\"", false},
	{"a: user=u instances=2; b:", 11, "a", "instances", "\"instances\" needs \"size\"", false},
	{"a: size=0", 4, "a", "size", "size and overflow are both 0", true},
	{"a: overflow=0 size=0", 15, "a", "size", "size and overflow are both 0", true},
	{"a: terminate=never max_lifetime=1h", 20, "a", "max_lifetime",
	"\"max_lifetime\" contradicts \"terminate=never\"", false},
	{"a: idle_timeout=0 terminate=never", 4, "a", "idle_timeout",
	"\"idle_timeout\" contradicts \"terminate=never\"", false},
	{"a: idle_in_transaction_timeout=0 terminate=never; b:", 4, "a", "idle_in_transaction_timeout",
	"\"idle_in_transaction_timeout\" contradicts \"terminate=never\"", false},
	{"a: terminate=always", 14, "a", "terminate", "\"always\" is not \"never\"", true},
	{"a: terminate=Never", 14, "a", "terminate", "\"Never\" is not \"never\"", true},
	{"a: terminate=\"\"", 14, "a", "terminate", "\"\" is not \"never\"", true},
	{"a: terminate=never terminate=never", 20, "a", "terminate", "key \"terminate\" is given twice", false},
};

static void
test_refused(void)
{
	char		fact[1024];

	for (int i = 0; i < lengthof(refused); i++)
	{
		const Refused *r = &refused[i];
		PmonPoolsError error;
		PmonPools  *pools = parse(r->value, &error);
		bool		same;

		snprintf(fact, sizeof(fact), "refused at %d: %s", r->position, r->message);
		if (pools != NULL)
		{
			ok(false, "%s", fact);
			printf("# was accepted\n");
			free(pools);
			continue;
		}

		same = error.position == r->position &&
			strcmp(error.pool, r->pool) == 0 &&
			strcmp(error.key, r->key) == 0 &&
			strcmp(error.message, r->message) == 0 &&
			(error.hint != NULL) == r->hint;
		ok(same, "%s", fact);
		if (!same)
			printf("# [%s]\n# pool \"%s\", key \"%s\", %d: %s%s\n", r->value,
				   error.pool, error.key, error.position, error.message,
				   error.hint ? " (hint)" : "");
	}
}

/* Write a value that declares so many pools. */
static char *
many_pools(int npools)
{
	Size		size = npools * 16 + 1;
	Size		length = 0;
	char	   *value = malloc(size);

	value[0] = '\0';
	for (int i = 0; i < npools; i++)
		length += snprintf(value + length, size - length, "p%d:;", i);

	return value;
}

static void
test_limits(void)
{
	PmonPoolsError error;
	PmonPools  *pools;
	char	   *value;
	char		shown[512];
	PmonPool	pool;
	char		tiny[4] = "xyz";

	is_int(pmon_pools_count_bound(""), 1, "an empty value needs room for no more than one pool");
	is_int(pmon_pools_count_bound("a:;b:"), 2, "two pools need room for two");

	value = many_pools(PMON_MAX_POOLS);
	pools = parse(value, &error);
	ok(pools != NULL && pools->npools == PMON_MAX_POOLS, "%d pools are accepted",
	   PMON_MAX_POOLS);
	free(pools);
	free(value);

	value = many_pools(PMON_MAX_POOLS + 1);
	is_int(pmon_pools_count_bound(value), PMON_MAX_POOLS, "more pools than the limit do not raise the bound");
	pools = parse(value, &error);
	ok(pools == NULL, "%d pools are refused", PMON_MAX_POOLS + 1);
	is_str(error.message, "too many pools: the limit is 100", "too many pools are refused with the limit");
	is_int(error.position, strstr(value, "p100:") - value + 1, "too many pools are refused at the first one too many");
	free(value);

	pools = malloc(PMON_POOLS_SIZE(1));
	pools->npools = 7;
	ok(!pmon_pools_parse("a: size=1; b: size=x", pools, 1, NULL) && pools->npools == 0,
	   "a refused value leaves no pools, and needs no error to be filled");
	ok(!pmon_pools_parse("a: size=1; b:", pools, 1, &error) &&
	   strcmp(error.message, "too many pools: the limit is 1") == 0,
	   "no pool is written past the caller's capacity");
	free(pools);

	pmon_pools_parse("größe: size=x", (PmonPools *) &pool, 0, &error);
	pmon_pools_error_detail(&error, shown, sizeof(shown));
	is_str(shown, "At position 1: too many pools: the limit is 0.",
		   "an error in no pool is shown with its position");
	pools = parse("größe: size=x", &error);
	pmon_pools_error_detail(&error, shown, sizeof(shown));
	is_str(shown, "Pool \"größe\", key \"size\", at position 13: \"x\" is not a whole number.",
		   "an error is shown with its pool, key and position");
	pools = parse("a: \"x\"", &error);
	pmon_pools_error_detail(&error, shown, sizeof(shown));
	is_str(shown, "Pool \"a\", at position 4: expected a key, found a double quote.",
		   "an error at no key is shown with its pool and position");

	pools = parse("api: size=3", &error);
	is_int(format_pool(&pools->pools[0], tiny, sizeof(tiny)), 11,
		   "writing a pool tells the length of the whole text");
	is_str(tiny, "api", "writing a pool cuts it to the room there is");
	is_int(format_pool(&pools->pools[0], NULL, 0), 11,
		   "writing a pool without room tells its length");
	free(pools);

	memset(&pool, 0, sizeof(pool));
	memset(pool.name, '"', sizeof(pool.name) - 1);
	memset(pool.application, '"', sizeof(pool.application) - 1);
	memset(pool.user, '"', sizeof(pool.user) - 1);
	memset(pool.database, '"', sizeof(pool.database) - 1);
	memset(pool.client_text, '1', sizeof(pool.client_text) - 1);
	pool.has_application = pool.has_user = pool.has_database = true;
	pool.client.kind = PMON_CLIENT_INET6;
	pool.size = pool.overflow = pool.instances = pool.keep_idle = PMON_MAX_POOL_SIZE;
	pool.idle_timeout = pool.idle_in_transaction_timeout = pool.max_lifetime =
		PMON_MAX_DURATION - 1;
	ok(format_pool(&pool, NULL, 0) < POOL_TEXT_LEN,
	   "the longest pool fits into POOL_TEXT_LEN");
}

static void
test_fields(void)
{
	PmonPoolsError error;
	PmonPools  *pools = parse("x: user=\"\"; y: size=1 client=::ffff:10.0.0.0/104; z: idle_timeout=1s; n: terminate=never", &error);
	const PmonPool *x = &pools->pools[0];
	const PmonPool *y = &pools->pools[1];
	const PmonPool *z = &pools->pools[2];
	const PmonPool *n = &pools->pools[3];

	ok(x->has_user && !x->has_application && !x->has_database,
	   "an empty pattern is a condition, one left out is none");
	ok(x->size == -1 && x->overflow == 0 && x->instances == 1 && x->keep_idle == 0,
	   "a pool without a size is only a policy");
	ok(x->idle_timeout == -1 && x->idle_in_transaction_timeout == -1 && x->max_lifetime == -1,
	   "a timeout left out is the global setting");
	ok(n->idle_timeout == 0 && n->idle_in_transaction_timeout == 0 && n->max_lifetime == 0,
	   "terminate=never turns off all three limits");
	ok(y->client.kind == PMON_CLIENT_INET4 && y->client.bits == 8 && y->client.address[0] == 10,
	   "a network of IPv4-mapped addresses is the IPv4 network");
	is_str(y->client_text, "::ffff:10.0.0.0/104", "a network is kept as it was written");
	is_int(z->idle_timeout, 1000, "a duration is kept in milliseconds");
	free(pools);
}

typedef struct PatternCase
{
	const char *pattern;
	const char *str;
	bool		matches;
} PatternCase;

static const PatternCase pattern_cases[] = {
	{"", "", true},
	{"", "a", false},
	{"a", "", false},
	{"*", "", true},
	{"*", "anything at all", true},
	{"?", "", false},
	{"?", "a", true},
	{"?", "ab", false},
	{"?", "é", true},
	{"??", "é", false},
	{"?", "€", true},
	{"?", "😀", true},
	{"?\?", "\xC3", false},
	{"?", "\xC3", true},
	{"?", "\x80", true},
	{"??", "\x80\x80", true},
	{"?", "\xF0\x9F", true},
	{"api-*", "api-", true},
	{"api-*", "api-7", true},
	{"api-*", "API-7", false},
	{"api-*", "my-api-7", false},
	{"*-api", "my-api", true},
	{"*api*", "my-api-7", true},
	{"a*b*c", "aXbYc", true},
	{"a*b*c", "abcb", false},
	{"a*?c", "ac", false},
	{"a*?c", "abc", true},
	{"*é", "caf\xC3\xA9", true},
	{"*?", "é", true},
	{"caf?", "café", true},
	{"[ab]", "a", false},
	{"[ab]", "[ab]", true},
	{"a\\*", "a\\b", true},
	{"**a", "bba", true},
	{"a**", "a", true},
	{"*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
};

/* Write a string so that its bytes can be told apart, whatever they are. */
static const char *
visible(const char *str, char *buf, Size size)
{
	Size		length = 0;

	buf[0] = '\0';
	for (const char *p = str; *p != '\0'; p++)
	{
		unsigned char c = (unsigned char) *p;

		length += snprintf(buf + length, size - length,
						   c < 0x80 ? "%c" : "\\x%02X", c);
	}

	return buf;
}

static void
test_patterns(void)
{
	char		pattern[512];
	char		str[512];

	for (int i = 0; i < lengthof(pattern_cases); i++)
	{
		const PatternCase *c = &pattern_cases[i];

		ok(pmon_pattern_match(c->pattern, c->str) == c->matches,
		   "pattern [%s] %s [%s]",
		   visible(c->pattern, pattern, sizeof(pattern)),
		   c->matches ? "matches" : "does not match",
		   visible(c->str, str, sizeof(str)));
	}
}

/* Make a client out of its address as text; "local" and "unknown" work, too. */
static PmonClient
client(const char *address)
{
	struct sockaddr_storage addr;
	PmonClient	result;

	memset(&addr, 0, sizeof(addr));
	if (strcmp(address, "local") == 0)
		addr.ss_family = AF_UNIX;
	else if (inet_pton(AF_INET, address, &((struct sockaddr_in *) &addr)->sin_addr) == 1)
		addr.ss_family = AF_INET;
	else if (inet_pton(AF_INET6, address, &((struct sockaddr_in6 *) &addr)->sin6_addr) == 1)
		addr.ss_family = AF_INET6;
	pmon_client_from_sockaddr(&addr, &result);

	return result;
}

typedef struct NetworkCase
{
	const char *network;
	const char *address;
	bool		contains;
} NetworkCase;

static const NetworkCase network_cases[] = {
	{"local", "local", true},
	{"local", "127.0.0.1", false},
	{"local", "unknown", false},
	{"10.0.0.0/8", "10.255.0.1", true},
	{"10.0.0.0/8", "11.0.0.1", false},
	{"10.0.0.0/8", "local", false},
	{"10.0.0.0/8", "unknown", false},
	{"10.0.0.0/8", "::1", false},
	{"10.0.0.0/8", "::ffff:10.1.2.3", true},
	{"10.0.0.0/8", "::ffff:11.1.2.3", false},
	{"10.1.160.0/19", "10.1.191.255", true},
	{"10.1.160.0/19", "10.1.192.0", false},
	{"192.168.1.7", "192.168.1.7", true},
	{"192.168.1.7", "192.168.1.6", false},
	{"0.0.0.0/0", "203.0.113.9", true},
	{"0.0.0.0/0", "2001:db8::1", false},
	{"fd00::/8", "fdff::1", true},
	{"fd00::/8", "fe00::1", false},
	{"fd00::/8", "10.0.0.1", false},
	{"2001:db8::/33", "2001:db8:7fff::1", true},
	{"2001:db8::/33", "2001:db8:8000::1", false},
	{"::1", "::1", true},
	{"::1", "::2", false},
	{"::/0", "2001:db8::1", true},
	{"::/0", "::ffff:10.1.2.3", true},
	{"::/0", "10.1.2.3", false},
	{"::ffff:10.0.0.0/104", "10.1.2.3", true},
	{"::ffff:10.0.0.0/104", "::ffff:10.1.2.3", true},
};

static void
test_networks(void)
{
	for (int i = 0; i < lengthof(network_cases); i++)
	{
		const NetworkCase *c = &network_cases[i];
		PmonNetwork network;
		PmonClient	address = client(c->address);

		ok(pmon_network_parse(c->network, &network) == PMON_NETWORK_OK &&
		   pmon_network_contains(&network, &address) == c->contains,
		   "client %s is %sin %s", c->address, c->contains ? "" : "not ",
		   c->network);
	}
}

static void
test_matching(void)
{
	PmonPoolsError error;
	PmonPools  *pools = parse("shop: application=api-* database=shop client=10.0.0.0/8 size=1;"
							  "api: application=api-*;"
							  "unnamed: application=\"\";"
							  "backup: user=backup;"
							  "late: user=backup database=x;"
							  "local: client=local", &error);
	PmonPoolSubject s = {"api-1", "web", "shop", client("10.1.2.3")};
	PmonPools	none = {0};

	is_int(pmon_pools_match(pools, &s), 0, "a session whose conditions all hold is in the first such pool");
	s.client = client("11.1.2.3");
	is_int(pmon_pools_match(pools, &s), 1, "one condition that fails leaves the session to a later pool");
	s.client = client("unknown");
	is_int(pmon_pools_match(pools, &s), 1, "a session without an address is in no network");
	s.application_name = "";
	is_int(pmon_pools_match(pools, &s), 2, "an empty pattern takes the empty application name");
	s.application_name = "other";
	is_int(pmon_pools_match(pools, &s), -1, "a session that no pool takes is in none");
	s.usename = "backup";
	s.datname = "x";
	is_int(pmon_pools_match(pools, &s), 3, "the first of two pools takes the session");
	s.usename = NULL;
	s.datname = NULL;
	s.application_name = NULL;
	is_int(pmon_pools_match(pools, &s), -1, "an unknown name matches no pattern");
	s.client = client("local");
	is_int(pmon_pools_match(pools, &s), 5, "an unknown name does not matter without a pattern");
	is_int(pmon_pools_match(&none, &s), -1, "without pools a session is in none");
	free(pools);
}

/* A pool with those numbers, and its figures */
static PmonPool
sized(int size, int overflow, int instances)
{
	PmonPool	pool = {.size = size,.overflow = overflow,.instances = instances};

	return pool;
}

static long long
capacity(int size, int overflow, int instances)
{
	PmonPool	pool = sized(size, overflow, instances);

	return pmon_pool_capacity(&pool);
}

static long long
beyond(int size, int instances, int64 total)
{
	PmonPool	pool = sized(size, 0, instances);

	return pmon_pool_overflow(&pool, total);
}

static long long
claim(int size, int overflow, int instances, int64 total)
{
	PmonPool	pool = sized(size, overflow, instances);

	return pmon_pool_claim(&pool, total);
}

static const char *
status(int size, int overflow, int instances, int64 checked_out, int64 total)
{
	PmonPool	pool = sized(size, overflow, instances);

	return pmon_pool_status_names[pmon_pool_status(&pool, checked_out, total)];
}

static void
test_figures(void)
{
	is_int(capacity(20, 30, 4), 200, "capacity is (size + overflow) * instances");
	is_int(capacity(INT_MAX, INT_MAX, INT_MAX), ((long long) INT_MAX + INT_MAX) * INT_MAX,
		   "capacity does not overflow");
	is_int(capacity(-1, 0, 1), -1, "without a size there is no capacity");
	is_int(capacity(5, -1, 1), -1, "without a limit there is no capacity");

	is_int(beyond(5, 2, 13), 3, "overflow is what is beyond size * instances");
	is_int(beyond(5, 2, 9), 0, "overflow is never negative");
	is_int(beyond(INT_MAX, INT_MAX, 1), 0, "overflow does not overflow");
	is_int(beyond(-1, 1, 5), 0, "without a size there is no overflow");

	is_str(status(10, 20, 1, 9, 10), "healthy",
		   "a pool within its size is healthy");
	is_str(status(10, 20, 1, 9, 11), "overflow",
		   "a pool with more connections than its size is in overflow");
	is_str(status(10, 20, 1, 29, 30), "overflow",
		   "a pool with one connection left is not exhausted");
	is_str(status(10, 20, 1, 30, 30), "exhausted",
		   "a pool with all connections checked out is exhausted");
	is_str(status(10, 20, 2, 30, 30), "overflow",
		   "two instances have twice the capacity");
	is_str(status(5, 5, 1, 9, 20), "oversized",
		   "a pool with more connections than its capacity is oversized");
	is_str(status(5, 5, 1, 10, 20), "exhausted",
		   "but exhausted if as many are checked out");
	is_int(claim(5, 5, 1, 3), 10, "a pool claims its capacity");
	is_int(claim(5, 5, 1, 20), 20, "or what it has, if that is more");
	is_int(claim(5, -1, 1, 20), 20, "as does one without a limit");
	is_int(claim(-1, 0, 1, 20), 0, "without a size it claims nothing");
	is_str(status(10, -1, 1, 500, 500), "overflow",
		   "a pool without a limit is never exhausted");
	is_str(status(-1, 0, 1, 500, 500), "healthy",
		   "a pool without a size is healthy");
}

int
main(void)
{
	test_accepted();
	test_refused();
	test_limits();
	test_fields();
	test_patterns();
	test_networks();
	test_matching();
	test_figures();

	return tap_done();
}
