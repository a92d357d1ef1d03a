/*-------------------------------------------------------------------------
 *
 * settings.c
 *	  Settings: pool_monitor.*
 *
 * Each is a variable that the server itself assigns; see settings.h.  The text
 * of the pools is read by the check hook, so that a value that can not be read is
 * never in force, and nobody has to read it again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include <limits.h>

#include "pure/pools_parser.h"
#include "shared/settings.h"

int			pmon_sample_interval = 1000;
int			pmon_max_groups = 2000;
int			pmon_history_size = 16 * 1024;
int			pmon_max_holds = 1000;
int			pmon_holds_size = 4 * 1024;
bool		pmon_track_transactions = true;
int			pmon_warning_threshold = 80;
int			pmon_critical_threshold = 95;
int			pmon_leak_threshold = 5 * 60 * 1000;
int			pmon_idle_timeout = 0;
int			pmon_idle_in_transaction_timeout = 0;
int			pmon_max_lifetime = 0;
int			pmon_terminate_above = 0;
int			pmon_max_terminations = 20;
bool		pmon_terminate_superusers = false;
bool		pmon_dry_run = false;
bool		pmon_save = true;
int			pmon_save_interval = 60;

static char *pools_string = NULL;
static const PmonPools no_pools = {0};
const PmonPools *pmon_declared = &no_pools;
uint32		pmon_declared_version = 0;

int			pmon_max_held_metrics = 0;
char	   *pmon_metrics_file = NULL;
int			pmon_metrics_interval = 15;

static char *tags_string = NULL;
PmonTagKeys pmon_tag_keys = {0};
uint32		pmon_tag_keys_version = 0;

/* Refuse what can not be the name of a file. */
static bool
check_metrics_file(char **newval, void **extra, GucSource source)
{
	const char *slash = last_dir_separator(*newval);
	const char *name = slash != NULL ? slash + 1 : *newval;

	if (**newval == '\0')
		return true;
	if (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
	{
		GUC_check_errdetail("It is the name of a folder.");
		return false;
	}
	if (strlen(*newval) + strlen(PMON_METRICS_TEMPORARY) >= MAXPGPATH)
	{
		GUC_check_errdetail("It is too long.");
		return false;
	}
	return true;
}

/* Refuse a list of keys that can not be read, and say where it is wrong. */
static bool
check_tags(char **newval, void **extra, GucSource source)
{
	PmonTagKeys *keys = PmonGucMalloc(sizeof(PmonTagKeys));
	int			mistake;

	if (keys == NULL)
	{
		GUC_check_errcode(ERRCODE_OUT_OF_MEMORY);
		GUC_check_errmsg("out of memory");
		return false;
	}
	if (pmon_parse_tag_keys(*newval, keys, &mistake))
	{
		*extra = keys;
		return true;
	}

	PmonGucFree(keys);
	GUC_check_errdetail("At position %d: expected at most %d different keys of at most %d letters, digits, \"_\", \"-\" and \".\", separated by commas.",
						mistake + 1, PMON_MAX_TAG_KEYS, PMON_TAG_KEY_LEN - 1);
	return false;
}

static void
assign_tags(const char *newval, void *extra)
{
	if (extra != NULL)
		pmon_tag_keys = *(PmonTagKeys *) extra;
	else
		pmon_tag_keys.n = 0;
	pmon_tag_keys_version++;
}

/* Refuse pools that can not be read, and say where they are wrong. */
static bool
check_pools(char **newval, void **extra, GucSource source)
{
	int			capacity = (int) pmon_pools_count_bound(*newval);
	PmonPools  *pools = PmonGucMalloc(PMON_POOLS_SIZE(capacity));
	PmonPoolsError error;
	char		detail[512];

	if (pools == NULL)
	{
		GUC_check_errcode(ERRCODE_OUT_OF_MEMORY);
		GUC_check_errmsg("out of memory");
		return false;
	}
	if (pmon_pools_parse(*newval, pools, capacity, &error))
	{
		*extra = pools;
		return true;
	}

	PmonGucFree(pools);
	pmon_pools_error_detail(&error, detail, sizeof(detail));
	GUC_check_errdetail("%s", detail);
	if (error.hint != NULL)
		GUC_check_errhint("%s", error.hint);
	return false;
}

static void
assign_pools(const char *newval, void *extra)
{
	pmon_declared = extra != NULL ? extra : &no_pools;
	pmon_declared_version++;
}

/*
 * Numbers and switches.  The default of each is what its variable has before it
 * is defined.  Those that are for the server's start size shared memory.
 */
typedef struct IntSetting
{
	const char *name;
	int		   *variable;
	int			min;
	int			max;
	GucContext	context;
	int			flags;
	const char *description;
	const char *more;			/* or NULL */
} IntSetting;

typedef struct BoolSetting
{
	const char *name;
	bool	   *variable;
	GucContext	context;
	const char *description;
} BoolSetting;

static const IntSetting int_settings[] = {
	{"pool_monitor.max_groups", &pmon_max_groups, 10, 100000, PGC_POSTMASTER, 0,
		"Sets the maximum number of groups tracked.",
		"A group is one database, role and application name. "
		"Past the maximum, the least recently used group without sessions "
	"is folded into the application \"<other>\"."},
	{"pool_monitor.history_size", &pmon_history_size, 1024, 1024 * 1024, PGC_POSTMASTER, GUC_UNIT_KB,
	"Sets the amount of memory for the history of samples and minutes.", NULL},
	{"pool_monitor.max_holds", &pmon_max_holds, 0, 100000, PGC_POSTMASTER, 0,
		"Sets the maximum number of different holds of connections that are told apart in a minute.",
	"0 turns off that holds are counted."},
	{"pool_monitor.holds_size", &pmon_holds_size, 256, 1024 * 1024, PGC_POSTMASTER, GUC_UNIT_KB,
	"Sets the amount of memory for the history of holds.", NULL},

	{"pool_monitor.sample_interval", &pmon_sample_interval, 10, 60 * 60 * 1000, PGC_SIGHUP, GUC_UNIT_MS,
	"Sets the time between two samples of all sessions.", NULL},
	{"pool_monitor.max_held_metrics", &pmon_max_held_metrics, 0, 1000, PGC_SIGHUP, 0,
		"Sets the maximum number of series in the metrics that tell which code holds connections.",
	"0 exposes none. Each combination of an application and tags is a series."},
	{"pool_monitor.metrics_interval", &pmon_metrics_interval, 1, 24 * 60 * 60, PGC_SIGHUP, GUC_UNIT_S,
	"Sets the time between two writings of the metrics to the file.", NULL},
	{"pool_monitor.save_interval", &pmon_save_interval, 1, 24 * 60 * 60, PGC_SIGHUP, GUC_UNIT_S,
		"Sets the time between two saves of statistics and history.",
	"A crash loses what was counted since the last save."},

	{"pool_monitor.warning_threshold", &pmon_warning_threshold, 1, 100, PGC_SIGHUP, 0,
	"Sets the utilization of connection slots, in percent, from which the status is \"warning\".", NULL},
	{"pool_monitor.critical_threshold", &pmon_critical_threshold, 1, 100, PGC_SIGHUP, 0,
	"Sets the utilization of connection slots, in percent, from which the status is \"critical\".", NULL},
	{"pool_monitor.leak_threshold", &pmon_leak_threshold, 1, INT_MAX, PGC_SIGHUP, GUC_UNIT_MS,
	"Sets the time after which a checked-out session without a new statement is a leak suspect.", NULL},

	{"pool_monitor.idle_timeout", &pmon_idle_timeout, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_MS,
		"Ends sessions that have been idle for longer.",
	"0 turns this off."},
	{"pool_monitor.idle_in_transaction_timeout", &pmon_idle_in_transaction_timeout, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_MS,
		"Ends sessions that have been idle in a transaction for longer.",
	"0 turns this off."},
	{"pool_monitor.max_lifetime", &pmon_max_lifetime, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_MS,
		"Ends sessions that were connected longer ago, when they have been idle for a second.",
	"By session, up to 10% more. After twice that time a tenth of a second does. 0 turns this off."},
	{"pool_monitor.terminate_above", &pmon_terminate_above, 0, 100, PGC_SIGHUP, 0,
		"Sets the utilization of connection slots, in percent, below which no session is ended.",
	"0 ends sessions whatever the utilization."},
	{"pool_monitor.max_terminations", &pmon_max_terminations, 0, INT_MAX, PGC_SIGHUP, 0,
		"Sets the maximum number of sessions ended in each sample.",
	"0 means no limit."}
};

static const BoolSetting bool_settings[] = {
	{"pool_monitor.track_transactions", &pmon_track_transactions, PGC_SUSET,
	"Measures how long each transaction holds its connection."},
	{"pool_monitor.save", &pmon_save, PGC_SIGHUP,
	"Keeps statistics and history over a restart of the server."},
	{"pool_monitor.terminate_superusers", &pmon_terminate_superusers, PGC_SIGHUP,
	"Ends idle sessions of superusers too."},
	{"pool_monitor.dry_run", &pmon_dry_run, PGC_SIGHUP,
	"Decides and records which sessions to end, but ends none."}
};

static void
define_string_settings(void)
{
	DefineCustomStringVariable("pool_monitor.pools",
							   "Declares the applications' connection pools.",
							   "Pools are separated by \";\"; each is a name, \":\" and conditions and figures "
							   "such as application=api-* size=20 overflow=30.",
							   &pools_string, "", PGC_SIGHUP, 0,
							   check_pools, assign_pools, NULL);
	DefineCustomStringVariable("pool_monitor.tags",
							   "Sets the keys that are read from the comments of statements, to tell which code holds connections.",
							   "A list, separated by commas. An empty one reads none.",
							   &tags_string, "application, controller, action, route, job, task", PGC_SIGHUP, 0,
							   check_tags, assign_tags, NULL);
	DefineCustomStringVariable("pool_monitor.metrics_file",
							   "Sets the file that the metrics are written to, for node_exporter.",
							   "A path, from the data directory unless it is absolute. An empty one writes none.",
							   &pmon_metrics_file, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY,
							   check_metrics_file, NULL, NULL);
}

void
pmon_define_settings(bool preloading)
{
	for (int i = 0; i < lengthof(int_settings); i++)
	{
		const IntSetting *setting = &int_settings[i];

		if (preloading || setting->context != PGC_POSTMASTER)
			DefineCustomIntVariable(setting->name, setting->description, setting->more,
									setting->variable, *setting->variable,
									setting->min, setting->max,
									setting->context, setting->flags, NULL, NULL, NULL);
	}
	for (int i = 0; i < lengthof(bool_settings); i++)
	{
		const BoolSetting *setting = &bool_settings[i];

		DefineCustomBoolVariable(setting->name, setting->description, NULL,
								 setting->variable, *setting->variable,
								 setting->context, 0, NULL, NULL, NULL);
	}
	define_string_settings();

	/*
	 * A session that merely loads the library must not drop the settings that
	 * only a preloaded one knows.
	 */
	if (preloading)
		MarkGUCPrefixReserved("pool_monitor");
}
