/*-------------------------------------------------------------------------
 *
 * metrics_text.c
 *	  All figures as a text for Prometheus.
 *
 * See metrics_text.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "query/diagnosis_facts.h"
#include "query/live_sessions.h"
#include "query/metrics_text.h"
#include "query/result_set.h"
#include "query/series_groups.h"
#include "shared/group_snapshot.h"
#include "shared/groups.h"
#include "shared/incidents.h"
#include "shared/pool_states.h"
#include "shared/rejections.h"
#include "shared/settings.h"

/* One reading of everything, and the text in the making */
typedef struct Metrics
{
	PmonExposition exposition;
	PmonLive   *live;			/* sessions and walsenders */
	PmonCounts	counts;			/* of sessions */
	PmonCounts *pool_counts;	/* the last one: in no pool with a size */

	PmonShared *shared;			/* a copy; NULL if not preloaded */
	PmonGroupSnapshot *snapshot;
	uint64	   *pool_invalid;
} Metrics;

static Metrics *
read_everything(void)
{
	Metrics    *metrics = palloc0(sizeof(Metrics));

	if (pmon != NULL)
	{
		metrics->snapshot = pmon_take_snapshot(true);
		pmon_forget_applications(metrics->snapshot);
		metrics->shared = palloc(sizeof(PmonShared));
		LWLockAcquire(PmonLock(), LW_SHARED);
		*metrics->shared = *pmon;
		LWLockRelease(PmonLock());
	}
	metrics->live = pmon_read_live(true);
	pmon_count_live(metrics->live, &metrics->counts);
	metrics->pool_counts = pmon_count_pools(metrics->live);
	return metrics;
}

/*
 * The server
 */

static void
put_states(Metrics *metrics)
{
	PmonExposition *out = &metrics->exposition;

	pmon_begin_family(out, PMON_METRIC_SERVER_CONNECTIONS);
	for (int i = 0; i < PMON_STATES; i++)
	{
		PmonLabels	labels = {0};

		pmon_add_label(&labels, "state", pmon_state_name(i));
		pmon_add_sample(out, &labels, metrics->counts.states[i], PMON_WHOLE);
	}
}

static void
put_server(Metrics *metrics)
{
	PmonExposition *out = &metrics->exposition;
	int			ordinary_slots = pmon_ordinary_slots();
	bool		exhausted = pmon_slots_exhausted();
	int			connections = metrics->counts.connections;
	double		utilization = (double) connections / ordinary_slots;

	pmon_begin_family(out, PMON_METRIC_STATUS);
	pmon_add_enumeration(out, NULL, "status", pmon_server_status_names,
						 PMON_SERVER_STATUSES,
						 pmon_server_status(utilization, exhausted));
	put_states(metrics);
	pmon_add_metric(out, PMON_METRIC_MAX_CONNECTIONS, MaxConnections);
	pmon_add_metric(out, PMON_METRIC_RESERVED_CONNECTIONS, PmonReservedSlots());
	pmon_add_metric(out, PMON_METRIC_AVAILABLE_CONNECTIONS,
					pmon_available_slots(connections, exhausted));
	pmon_begin_family(out, PMON_METRIC_UTILIZATION);
	pmon_add_ratio(out, NULL, utilization);
}

/* What only the preloaded library knows of the server */
static void
put_recorded_server(Metrics *metrics)
{
	PmonExposition *out = &metrics->exposition;

	pmon_add_metric(out, PMON_METRIC_PEAK_CONNECTIONS,
					metrics->shared->peak_connections.value);
	pmon_begin_family(out, PMON_METRIC_REJECTED);
	for (int i = 0; i < PMON_REJECT_REASONS; i++)
	{
		PmonLabels	labels = {0};

		pmon_add_label(&labels, "reason", pmon_reject_reason_names[i]);
		pmon_add_sample(out, &labels, metrics->snapshot->rejected[i], PMON_WHOLE);
	}
	pmon_add_metric(out, PMON_METRIC_TERMINATED,
					pg_atomic_read_u64(&pmon->terminated));
}

static void
put_leak_suspects(Metrics *metrics)
{
	PmonExposition *out = &metrics->exposition;
	PmonProcState *procs = pmon_read_procs();
	PmonLockWaits *waits = pmon_read_lock_waits();
	int			counts[PMON_LEAKS] = {0};

	for (int i = 0; i < metrics->live->nsessions; i++)
	{
		const PmonSession *session = &metrics->live->sessions[i];

		counts[pmon_leak_suspect(metrics->live, session,
								 procs[session->slot].wait_event_info,
								 pmon_blocking(waits, session->pid))]++;
	}

	pmon_begin_family(out, PMON_METRIC_LEAK_SUSPECTS);
	for (int i = PMON_LEAK_NONE + 1; i < PMON_LEAKS; i++)
	{
		PmonLabels	labels = {0};

		pmon_add_label(&labels, "reason", pmon_leak_name(i));
		pmon_add_sample(out, &labels, counts[i], PMON_WHOLE);
	}
}

/*
 * Groups
 */

/* By names, or the OID of what has been dropped */
static PmonSeriesGroup *
find_series(Metrics *metrics, PmonSeriesTable *table, Oid databaseid,
			Oid userid, const char *application_name)
{
	const char *datname = pmon_live_database(metrics->live, databaseid);
	const char *usename = pmon_live_role(metrics->live, userid);

	return pmon_find_series(table, pmon_shown_name(datname, databaseid),
							pmon_shown_name(usename, userid), application_name);
}

static void
count_connections(Metrics *metrics, PmonSeriesTable *table)
{
	for (int i = 0; i < metrics->live->nsessions; i++)
	{
		const PmonSession *session = &metrics->live->sessions[i];
		PmonSeriesGroup *group = find_series(metrics, table, session->databaseid,
											 session->userid,
											 session->application_name);

		if (PmonIsSession(session))
		{
			group->sessions++;
			group->sessions_by_state[session->state]++;
		}
		else
		{
			group->walsenders++;
			group->walsenders_by_state[session->state]++;
		}
	}
}

/*
 * Add what the groups have counted, if anything.  Returns the group of names
 * that each went to, palloc'd, NULL for those that have counted nothing.
 */
static PmonSeriesGroup **
add_counters(Metrics *metrics, PmonSeriesTable *table)
{
	PmonGroupSnapshot *snapshot = metrics->snapshot;
	PmonSeriesGroup **into = palloc0(sizeof(PmonSeriesGroup *) * snapshot->ngroups);

	for (int i = 0; i < snapshot->ngroups; i++)
	{
		PmonGroup  *group = &snapshot->groups[i];

		if (group->connections == 0 && group->counters.sessions == 0 &&
			group->counters.hold.transactions == 0)
			continue;
		into[i] = find_series(metrics, table, group->key.databaseid,
							  group->key.userid, group->key.application_name);
		pmon_add_counters(&into[i]->counters, &group->counters);
	}
	return into;
}

static void
label_names(PmonLabels *labels, const PmonSeriesNames *names)
{
	labels->n = 0;
	pmon_add_label(labels, "datname", names->datname);
	pmon_add_label(labels, "usename", names->usename);
	pmon_add_label(labels, "application_name", names->application_name);
}

/*
 * The connections of one kind in each state, whether or not any is in it: a
 * series that fell to nothing would keep its last value in the eyes of those
 * who read it.
 */
static void
put_connections_of_type(PmonExposition *out, const PmonSeriesNames *names,
						const int *by_state, BackendType backend_type)
{
	for (int i = 0; i < PMON_STATES; i++)
	{
		PmonLabels	labels;

		label_names(&labels, names);
		pmon_add_label(&labels, "state", pmon_state_name(i));
		pmon_add_label(&labels, "backend_type", GetBackendTypeDesc(backend_type));
		pmon_add_sample(out, &labels, by_state[i], PMON_WHOLE);
	}
}

static void
put_connections(PmonExposition *out, const PmonSeriesTable *table)
{
	pmon_begin_family(out, PMON_METRIC_CONNECTIONS);
	for (int i = 0; i < table->ngroups; i++)
	{
		const PmonSeriesGroup *group = table->groups[i];

		put_connections_of_type(out, &group->names, group->sessions_by_state,
								B_BACKEND);
		if (group->walsenders > 0)
			put_connections_of_type(out, &group->names, group->walsenders_by_state,
									B_WAL_SENDER);
	}
}

/* One family of counters: a uint64 at that place in PmonCounters */
static void
put_counter(PmonExposition *out, const PmonSeriesTable *table, PmonMetric metric,
			size_t member, int decimals)
{
	pmon_begin_family(out, metric);
	for (int i = 0; i < table->ngroups; i++)
	{
		const PmonSeriesGroup *group = table->groups[i];
		const uint64 *value = (const uint64 *) ((const char *) &group->counters + member);
		PmonLabels	labels;

		label_names(&labels, &group->names);
		pmon_add_sample(out, &labels, *value, decimals);
	}
}

static void
put_hold_times(PmonExposition *out, const PmonSeriesTable *table)
{
	pmon_begin_family(out, PMON_METRIC_HOLD_TIME);
	for (int i = 0; i < table->ngroups; i++)
	{
		const PmonSeriesGroup *group = table->groups[i];
		PmonLabels	labels;

		label_names(&labels, &group->names);
		pmon_add_histogram(out, &labels, &group->histogram,
						   group->counters.hold.time_sum);
	}
}

static void
put_groups(Metrics *metrics)
{
	PmonExposition *out = &metrics->exposition;
	PmonSeriesTable *table = pmon_make_series();
	PmonSeriesGroup **into = NULL;

	count_connections(metrics, table);
	if (metrics->snapshot != NULL)
		into = add_counters(metrics, table);
	pmon_finish_series(table);
	if (into != NULL)
		pmon_add_series_buckets(metrics->snapshot, into);

	put_connections(out, table);
	if (metrics->snapshot == NULL)
		return;
	put_counter(out, table, PMON_METRIC_SESSIONS,
				offsetof(PmonCounters, sessions), PMON_WHOLE);
	put_counter(out, table, PMON_METRIC_SESSIONS_ABANDONED,
				offsetof(PmonCounters, sessions_abandoned), PMON_WHOLE);
	put_counter(out, table, PMON_METRIC_SESSIONS_FATAL,
				offsetof(PmonCounters, sessions_fatal), PMON_WHOLE);
	put_counter(out, table, PMON_METRIC_SESSIONS_KILLED,
				offsetof(PmonCounters, sessions_killed), PMON_WHOLE);
	put_counter(out, table, PMON_METRIC_APPLICATION_TERMINATED,
				offsetof(PmonCounters, terminated), PMON_WHOLE);
	put_counter(out, table, PMON_METRIC_SESSION_TIME,
				offsetof(PmonCounters, session_time), PMON_MICROSECONDS);
	put_counter(out, table, PMON_METRIC_TRANSACTIONS,
				offsetof(PmonCounters, hold.transactions), PMON_WHOLE);
	put_hold_times(out, table);
}

/* Refused logins, by the names that their clients gave */
static void
put_rejections(Metrics *metrics)
{
	PmonExposition *out = &metrics->exposition;
	PmonGroupSnapshot *snapshot = metrics->snapshot;
	PmonSeriesTable *table = pmon_make_series();

	for (int i = 0; i < snapshot->nrejections; i++)
	{
		PmonRejection *rejection = &snapshot->rejections[i];
		PmonSeriesGroup *group = pmon_find_series(table, rejection->key.datname,
												  rejection->key.usename,
												  rejection->key.application_name);

		group->rejected[rejection->key.reason] += rejection->rejected;
		group->rejected_in_all += rejection->rejected;
	}
	for (int i = 0; i < PMON_REJECT_REASONS; i++)
		table->other.rejected[i] += snapshot->dropped[i];
	pmon_finish_series(table);

	pmon_begin_family(out, PMON_METRIC_APPLICATION_REJECTED);
	for (int i = 0; i < table->ngroups; i++)
	{
		const PmonSeriesGroup *group = table->groups[i];

		for (int j = 0; j < PMON_REJECT_REASONS; j++)
		{
			PmonLabels	labels;

			if (group->rejected[j] == 0)
				continue;
			label_names(&labels, &group->names);
			pmon_add_label(&labels, "reason", pmon_reject_reason_names[j]);
			pmon_add_sample(out, &labels, group->rejected[j], PMON_WHOLE);
		}
	}
}

/* A time as microseconds since 1970 */
static int64
unix_time(TimestampTz at)
{
	return at + INT64CONST(86400) *
		(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_SEC;
}

/*
 * Declared pools
 */

/* The label of a pool's series, or false for a pool that is only a policy */
static bool
label_pool(PmonLabels *labels, int pool)
{
	static char name[NAMEDATALEN];

	if (pmon_declared->pools[pool].size < 0)
		return false;
	pmon_copy_exposed_name(name, pmon_declared->pools[pool].name);
	labels->n = 0;
	pmon_add_label(labels, "pool", name);
	return true;
}

static void
put_pool_status(Metrics *metrics)
{
	pmon_begin_family(&metrics->exposition, PMON_METRIC_POOL_STATUS);
	for (int i = 0; i < pmon_declared->npools; i++)
	{
		const PmonCounts *counts = &metrics->pool_counts[i];
		PmonLabels	labels;

		if (label_pool(&labels, i))
			pmon_add_enumeration(&metrics->exposition, &labels, "status",
								 pmon_pool_status_names, PMON_POOL_STATUSES,
								 pmon_pool_status(&pmon_declared->pools[i],
												  pmon_checked_out(counts),
												  counts->connections));
	}
}

/* What is recorded of a pool; times are microseconds of the Unix epoch. */
static bool
recorded_figure(PmonMetric metric, const PmonPoolState *state, int64 *figure)
{
	switch (metric)
	{
		case PMON_METRIC_POOL_PEAK_CHECKED_OUT:
			*figure = Max(state->peak_checked_out.value, 0);
			return true;
		case PMON_METRIC_POOL_LAST_EXHAUSTED:
			*figure = unix_time(state->last_exhausted_at);
			return state->last_exhausted_at != 0;
		default:
			Assert(metric == PMON_METRIC_POOL_ENDED_CHECKED_OUT);
			*figure = state->ended_checked_out;
			return true;
	}
}

/*
 * A figure of a pool: what was declared of it, what follows from that and its
 * sessions, or what is recorded.  Returns false where it is not known.
 */
static bool
pool_figure(Metrics *metrics, PmonMetric metric, int i, int64 *figure)
{
	const PmonPool *pool = &pmon_declared->pools[i];
	PmonPoolState state;

	switch (metric)
	{
		case PMON_METRIC_POOL_SIZE:
			*figure = pool->size;
			return true;
		case PMON_METRIC_POOL_MAX_OVERFLOW:
			*figure = pool->overflow;
			return true;
		case PMON_METRIC_POOL_INSTANCES:
			*figure = pool->instances;
			return true;
		case PMON_METRIC_POOL_CAPACITY:
			*figure = pmon_pool_capacity(pool);
			return true;
		case PMON_METRIC_POOL_CHECKED_OUT_PROVEN:
			*figure = metrics->pool_counts[i].held_idle;
			return true;
		case PMON_METRIC_POOL_OVERFLOW:
			*figure = pmon_pool_overflow(pool, metrics->pool_counts[i].connections);
			return true;
		case PMON_METRIC_POOL_INVALID:
			*figure = metrics->pool_invalid[i];
			return true;
		default:
			if (!pmon_copy_pool_state(pool->name, &state))
				return false;
			return recorded_figure(metric, &state, figure);
	}
}

static void
put_pool_family(Metrics *metrics, PmonMetric metric)
{
	pmon_begin_family(&metrics->exposition, metric);
	for (int i = 0; i < pmon_declared->npools; i++)
	{
		PmonLabels	labels;
		int64		figure;

		if (label_pool(&labels, i) && pool_figure(metrics, metric, i, &figure))
			pmon_add_sample(&metrics->exposition, &labels, figure,
							metric == PMON_METRIC_POOL_LAST_EXHAUSTED ?
							PMON_MICROSECONDS : PMON_WHOLE);
	}
}

static void
put_pool_connections(Metrics *metrics)
{
	static const char *const states[] = {"checked_in", "checked_out", "unknown"};

	pmon_begin_family(&metrics->exposition, PMON_METRIC_POOL_CONNECTIONS);
	for (int i = 0; i < pmon_declared->npools; i++)
	{
		const PmonCounts *counts = &metrics->pool_counts[i];
		int			values[lengthof(states)];

		values[0] = pmon_checked_in(counts);
		values[1] = pmon_checked_out(counts);
		values[2] = counts->connections - values[0] - values[1];
		for (int j = 0; j < lengthof(states); j++)
		{
			PmonLabels	labels;

			if (!label_pool(&labels, i))
				continue;
			pmon_add_label(&labels, "state", states[j]);
			pmon_add_sample(&metrics->exposition, &labels, values[j], PMON_WHOLE);
		}
	}
}

static void
put_pool_utilization(Metrics *metrics)
{
	pmon_begin_family(&metrics->exposition, PMON_METRIC_POOL_UTILIZATION);
	for (int i = 0; i < pmon_declared->npools; i++)
	{
		PmonLabels	labels;

		if (label_pool(&labels, i))
			pmon_add_ratio(&metrics->exposition, &labels,
						   (double) pmon_checked_out(&metrics->pool_counts[i]) /
						   Max(pmon_pool_capacity(&pmon_declared->pools[i]), 1));
	}
}

/* All pools together, beside what the server has */
static void
put_capacity(Metrics *metrics)
{
	PmonExposition *out = &metrics->exposition;
	int			undeclared = metrics->pool_counts[pmon_declared->npools].connections;
	int64		declared = 0;

	for (int i = 0; i < pmon_declared->npools; i++)
	{
		declared += pmon_pool_claim(&pmon_declared->pools[i],
									metrics->pool_counts[i].connections);
	}
	pmon_add_metric(out, PMON_METRIC_DECLARED_CAPACITY, declared);
	pmon_add_metric(out, PMON_METRIC_UNDECLARED_CONNECTIONS, undeclared);
	pmon_add_metric(out, PMON_METRIC_HEADROOM,
					pmon_ordinary_slots() - declared - undeclared);
	pmon_add_metric(out, PMON_METRIC_OVERSUBSCRIBED,
					declared > pmon_ordinary_slots());
}

static void
put_pools(Metrics *metrics)
{
	put_pool_status(metrics);
	put_pool_family(metrics, PMON_METRIC_POOL_SIZE);
	put_pool_family(metrics, PMON_METRIC_POOL_MAX_OVERFLOW);
	put_pool_family(metrics, PMON_METRIC_POOL_INSTANCES);
	put_pool_family(metrics, PMON_METRIC_POOL_CAPACITY);
	put_pool_connections(metrics);
	put_pool_family(metrics, PMON_METRIC_POOL_CHECKED_OUT_PROVEN);
	put_pool_family(metrics, PMON_METRIC_POOL_OVERFLOW);
	put_pool_utilization(metrics);
	if (metrics->shared != NULL)
	{
		metrics->pool_invalid = pmon_count_invalid(metrics->snapshot);
		put_pool_family(metrics, PMON_METRIC_POOL_PEAK_CHECKED_OUT);
		put_pool_family(metrics, PMON_METRIC_POOL_LAST_EXHAUSTED);
		put_pool_family(metrics, PMON_METRIC_POOL_ENDED_CHECKED_OUT);
		put_pool_family(metrics, PMON_METRIC_POOL_INVALID);
	}
	put_capacity(metrics);
}

/*
 * The extension itself
 */

/*
 * How many findings there are of each code and severity, where there are any.
 * They go ten minutes back, so that an alert ends with its cause.
 */
static void
put_findings(Metrics *metrics)
{
	PmonExposition *out = &metrics->exposition;
	PmonFindings *findings = palloc(sizeof(PmonFindings));
	int			counts[PMON_FINDING_CODES][PMON_SEVERITIES] = {0};

	pmon_diagnose(pmon_gather_facts(PMON_WITHOUT_HISTORY), findings);
	for (int i = 0; i < findings->nfindings; i++)
		counts[findings->findings[i].code][findings->findings[i].severity]++;

	pmon_begin_family(out, PMON_METRIC_FINDINGS);
	for (int code = 0; code < PMON_FINDING_CODES; code++)
	{
		for (int severity = 0; severity < PMON_SEVERITIES; severity++)
		{
			PmonLabels	labels = {0};

			if (counts[code][severity] == 0)
				continue;
			pmon_add_label(&labels, "finding", pmon_finding_name(code));
			pmon_add_label(&labels, "severity", pmon_severity_names[severity]);
			pmon_add_sample(out, &labels, counts[code][severity], PMON_WHOLE);
		}
	}
	pfree(findings);
}

/* A time, as seconds since 1970; nothing for one that has not come yet */
static void
put_time(PmonExposition *out, PmonMetric metric, TimestampTz at)
{
	if (at == 0)
		return;
	pmon_begin_family(out, metric);
	pmon_add_sample(out, NULL, unix_time(at), PMON_MICROSECONDS);
}

static void
put_worker(Metrics *metrics)
{
	PmonExposition *out = &metrics->exposition;
	const PmonShared *shared = metrics->shared;

	pmon_add_metric(out, PMON_METRIC_WORKER_UP, shared->worker_pid != 0);
	pmon_add_metric(out, PMON_METRIC_SAMPLES, shared->samples);
	pmon_add_metric(out, PMON_METRIC_MISSED_SAMPLES, shared->missed_samples);
	put_time(out, PMON_METRIC_LAST_SAMPLE, shared->last_sample_at);
	pmon_begin_family(out, PMON_METRIC_SAMPLE_DURATION);
	pmon_add_sample(out, NULL, shared->last_sample_duration, PMON_NANOSECONDS);
	put_time(out, PMON_METRIC_LAST_SAVE, shared->saved_at);
	pmon_add_metric(out, PMON_METRIC_SAVE_FAILURES, shared->save_failures);
	put_time(out, PMON_METRIC_LAST_METRICS, shared->metrics_written_at);
	pmon_add_metric(out, PMON_METRIC_METRICS_FAILURES, shared->metrics_failures);
	pmon_add_metric(out, PMON_METRIC_GROUPS, metrics->snapshot->ngroups);
	pmon_add_metric(out, PMON_METRIC_MAX_GROUPS, shared->max_groups);
	pmon_add_metric(out, PMON_METRIC_GROUPS_EVICTED, metrics->snapshot->groups_evicted);
	pmon_add_metric(out, PMON_METRIC_MEMORY, shared->memory_bytes);
}

const char *
pmon_make_metrics(PmonMetricsFormat format)
{
	Metrics    *metrics = read_everything();
	PmonExposition *out = &metrics->exposition;

	pmon_begin_exposition(out, format);
	pmon_add_metric(out, PMON_METRIC_PRELOADED, pmon != NULL);
	put_server(metrics);
	put_leak_suspects(metrics);
	put_findings(metrics);
	put_groups(metrics);
	put_pools(metrics);
	if (pmon != NULL)
	{
		put_recorded_server(metrics);
		put_rejections(metrics);
		pmon_add_metric(out, PMON_METRIC_CURRENT_INCIDENT, pmon_current_incident());
		pmon_add_metric(out, PMON_METRIC_INCIDENTS, pmon_last_incident());
		put_worker(metrics);
		pmon_put_held_connections(out, pmon_max_held_metrics);
	}
	return pmon_end_exposition(out);
}
