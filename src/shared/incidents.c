/*-------------------------------------------------------------------------
 *
 * incidents.c
 *	  When the server ran out of connections, and who held them then.
 *
 * The holders are collected in memory of the worker, and copied to shared
 * memory under the lock.  How many sessions there were at the worst moment is
 * exact, since sessions raise that peak themselves as they log in; who they
 * were is known as of the sample that saw the most.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "utils/timestamp.h"

#include "shared/groups.h"
#include "shared/incidents.h"
#include "shared/settings.h"
#include "shared/start_snapshot.h"

#define HEALTHY_SAMPLES		10
#define HEALTHY_TIME		(10 * USECS_PER_SEC)

/* So often the holders are looked at again while logins are refused. */
#define LOOK_AGAIN_AFTER	(1 * USECS_PER_SEC)

PmonIncidents *pmon_incidents = NULL;

static LWLock *incident_lock = NULL;

void
pmon_request_incidents(void)
{
	pmon_request_part((void **) &pmon_incidents, sizeof(PmonIncidents), NULL);
	pmon_request_lock(&incident_lock);
}

static PmonHolders *collected;	/* who held the slots when last looked */
static PmonTopApplication top;

void
pmon_incidents_init(void)
{
	collected = palloc0(sizeof(PmonHolders));
	pmon_holders_init();
}

static void
log_start(const PmonIncident *incident)
{
	ereport(LOG,
			(errmsg("connection incident " INT64_FORMAT " started", incident->id),
			 incident->reason != PMON_INCIDENT_CRITICAL_THRESHOLD ?
			 errdetail("A login was refused; of %d connections, application \"%s\" holds %d.",
					   collected->connections, top.application_name, top.connections) :
			 errdetail("Utilization reached %d%%; of %d connections, application \"%s\" holds %d.",
					   pmon_critical_threshold, collected->connections,
					   top.application_name, top.connections)));
}

/* What the log says of an incident that has ended; it may be gone by then */
typedef struct IncidentEnd
{
	int64		id;				/* 0: nothing ended */
	double		seconds;
	int			peak_connections;
	uint64		rejected;
	char		top_application[NAMEDATALEN];
} IncidentEnd;

static void
log_end(const IncidentEnd *end, bool by_reset)
{
	if (end->id == 0)
		return;
	ereport(LOG,
			(by_reset ?
			 errmsg("connection incident " INT64_FORMAT " ended by a reset of the statistics", end->id) :
			 errmsg("connection incident " INT64_FORMAT " ended", end->id),
			 errdetail("It lasted %.1f s, with at most %d connections, most of them of application \"%s\", and " UINT64_FORMAT " logins refused.",
					   end->seconds, end->peak_connections,
					   end->top_application, end->rejected)));
}

/* Take the peak that sessions have raised.  Wants the incident lock. */
static void
update_peak(PmonIncident *incident)
{
	Assert(LWLockHeldByMeInMode(incident_lock, LW_EXCLUSIVE));
	LWLockAcquire(PmonLock(), LW_SHARED);
	pmon_raise_peak(&incident->peak_connections, pmon->incident_peak.value,
					pmon->incident_peak.at);
	LWLockRelease(PmonLock());
}

/*
 * Who held the slots when the first login was refused, as that process saw it;
 * else who holds them now.  At the threshold nobody has been refused yet.
 */
static void
collect_first_holders(PmonIncidentReason reason)
{
	const PmonSessionSnapshot *snapshot =
	reason == PMON_INCIDENT_CRITICAL_THRESHOLD ? NULL : pmon_start_snapshot();

	if (snapshot != NULL)
		pmon_make_holders(snapshot, collected, &top);
	else
		pmon_collect_holders(collected, &top);
	if (reason != PMON_INCIDENT_CRITICAL_THRESHOLD)
		pmon_finish_start_snapshot();
}

static void
open_incident(PmonIncidentReason reason, uint64 rejected)
{
	PmonIncident *incident;

	collect_first_holders(reason);
	LWLockAcquire(PmonLock(), LW_EXCLUSIVE);
	pmon->incident_peak.value = Max(pmon->connections, collected->connections);
	pmon->incident_peak.at = collected->taken_at;
	LWLockRelease(PmonLock());

	LWLockAcquire(incident_lock, LW_EXCLUSIVE);
	pmon_incidents->current = ++pmon_incidents->last_id;
	incident = PmonIncidentAt(pmon_incidents->current);
	memset(incident, 0, sizeof(*incident));
	incident->id = pmon_incidents->current;
	incident->started_at = collected->taken_at;
	incident->reason = reason;
	incident->rejected = rejected;
	pmon_raise_peak(&incident->peak_connections, collected->connections,
					collected->taken_at);
	memcpy(incident->top_application, top.application_name, NAMEDATALEN);
	incident->at_start = *collected;
	incident->at_peak = *collected;
	pmon_incidents->healthy_since = 0;
	LWLockRelease(incident_lock);

	log_start(incident);
}

/* End the incident that goes on, if there is one.  Wants the incident lock. */
static void
end_current(IncidentEnd *end)
{
	PmonIncident *incident = PmonIncidentAt(pmon_incidents->current);

	Assert(LWLockHeldByMeInMode(incident_lock, LW_EXCLUSIVE));
	end->id = pmon_incidents->current;
	if (end->id == 0)
		return;
	update_peak(incident);

	/* not before it started, even if the clock was set back */
	incident->ended_at = Max(GetCurrentTimestamp(), incident->started_at);
	pmon_incidents->current = 0;

	end->seconds = (double) (incident->ended_at - incident->started_at) / USECS_PER_SEC;
	end->peak_connections = incident->peak_connections.value;
	end->rejected = incident->rejected;
	memcpy(end->top_application, incident->top_application, NAMEDATALEN);
}

/* A reset may have been there before us, and has logged the end then. */
static void
close_incident(void)
{
	IncidentEnd end;

	LWLockAcquire(incident_lock, LW_EXCLUSIVE);
	end_current(&end);
	LWLockRelease(incident_lock);

	pmon_want_start_snapshot();
	log_end(&end, false);
}

/*
 * Does who holds the slots now tell more of the incident than what is kept?  So
 * it does where there are more sessions than ever.  Where the server goes on to
 * refuse logins, it does as well, unless fewer of them wait for a lock now: a
 * convoy forms, and a transaction becomes old, when there is no slot left any
 * more, and who caused that must not be lost while the others leave.
 */
static bool
tells_more(const PmonIncident *incident)
{
	const PmonHolders *kept = &incident->at_peak;

	if (collected->connections > kept->connections)
		return true;
	return pmon_slots_exhausted() &&
		collected->sessions[0].blocks >= kept->sessions[0].blocks;
}

/* Keep what has been collected as the incident's peak. */
static void
keep_peak(PmonIncident *incident)
{
	LWLockAcquire(incident_lock, LW_EXCLUSIVE);
	incident->at_peak = *collected;
	pmon_raise_peak(&incident->peak_connections, collected->connections,
					collected->taken_at);
	memcpy(incident->top_application, top.application_name, NAMEDATALEN);
	LWLockRelease(incident_lock);
}

/* Keep who holds the slots now, if that tells more. */
static void
update_holders(PmonIncident *incident)
{
	pmon_collect_holders(collected, &top);
	if (tells_more(incident))
		keep_peak(incident);
}

/*
 * An incident that began at the threshold has now had its first refusal, and
 * the process that it met has seen who held the slots.
 */
static void
take_first_refusal(PmonIncident *incident)
{
	const PmonSessionSnapshot *snapshot = pmon_start_snapshot();

	if (snapshot != NULL)
	{
		pmon_make_holders(snapshot, collected, &top);
		if (collected->connections > incident->at_peak.connections)
			keep_peak(incident);
	}
	pmon_finish_start_snapshot();
}

void
pmon_note_rejections(void)
{
	for (int i = 0; i < PMON_SERVER_REJECT_REASONS; i++)
		pmon_incidents->rejected_seen[i] = pmon_rejected_ever(i);
}

/*
 * Logins that the server refused for being full since this was last asked, and
 * why: ordinary roles are refused first.
 */
static uint64
new_rejections(PmonIncidentReason *reason)
{
	uint64		rejected = 0;

	*reason = PMON_INCIDENT_TOO_MANY_CLIENTS;
	for (int i = 0; i < PMON_SERVER_REJECT_REASONS; i++)
	{
		uint64		ever = pmon_rejected_ever(i);
		uint64		more = ever - pmon_incidents->rejected_seen[i];

		pmon_incidents->rejected_seen[i] = ever;
		rejected += more;
		if (i == PMON_REJECT_RESERVED_SLOTS && more > 0)
			*reason = PMON_INCIDENT_RESERVED_SLOTS;
	}
	return rejected;
}

void
pmon_check_rejections(void)
{
	PmonIncidentReason reason;
	uint64		rejected = new_rejections(&reason);
	int64		current = pmon_incidents->current;

	if (rejected == 0)
		return;

	if (current == 0)
		open_incident(reason, rejected);
	else
	{
		take_first_refusal(PmonIncidentAt(current));
		LWLockAcquire(incident_lock, LW_EXCLUSIVE);
		PmonIncidentAt(current)->rejected += rejected;
		pmon_incidents->healthy_since = 0;
		LWLockRelease(incident_lock);
	}
}

/* Count a healthy sample.  Returns whether there were enough in a row. */
static bool
is_over(TimestampTz now)
{
	/* the clock may have been set back */
	if (pmon_incidents->healthy_since == 0 || pmon_incidents->healthy_since > now)
	{
		pmon_incidents->healthy_since = now;
		pmon_incidents->healthy_samples = 0;
	}
	pmon_incidents->healthy_samples++;
	return pmon_incidents->healthy_samples >= HEALTHY_SAMPLES &&
		now - pmon_incidents->healthy_since >= HEALTHY_TIME;
}

/*
 * Has a login been refused for want of a slot since somebody looked at the holders?
 * Once a second is enough, since that reads the locks.
 */
static bool
is_worth_a_look(void)
{
	static uint64 seen = 0;
	static TimestampTz looked_at = 0;
	TimestampTz now = GetCurrentTimestamp();
	uint64		ever = 0;

	for (int i = 0; i < PMON_SERVER_REJECT_REASONS; i++)
		ever += pmon_incidents->rejected_seen[i];
	if (ever == seen || (now >= looked_at && now - looked_at < LOOK_AGAIN_AFTER))
		return false;
	seen = ever;
	looked_at = now;
	return true;
}

void
pmon_check_utilization(int connections)
{
	double		percent = 100.0 * connections / pmon_ordinary_slots();
	int64		current;

	pmon_check_rejections();
	current = pmon_incidents->current;

	if (current == 0)
	{
		if (percent >= pmon_critical_threshold)
			open_incident(PMON_INCIDENT_CRITICAL_THRESHOLD, 0);
		else
			pmon_want_start_snapshot();
		return;
	}

	if (connections > PmonIncidentAt(current)->at_peak.connections ||
		is_worth_a_look())
		update_holders(PmonIncidentAt(current));

	/* whichever is lower, or an incident would end and begin in turns */
	if (percent >= Min(pmon_warning_threshold, pmon_critical_threshold))
		pmon_incidents->healthy_since = 0;
	else if (is_over(GetCurrentTimestamp()))
	{
		close_incident();
		return;
	}

	LWLockAcquire(incident_lock, LW_EXCLUSIVE);
	update_peak(PmonIncidentAt(current));
	LWLockRelease(incident_lock);
}

PmonIncident *
pmon_copy_incident(int64 id)
{
	PmonIncident *copy = palloc(sizeof(PmonIncident));

	LWLockAcquire(incident_lock, LW_SHARED);
	*copy = *PmonIncidentAt(id);
	LWLockRelease(incident_lock);

	if (copy->id == id)
		return copy;
	pfree(copy);
	return NULL;
}

static int64
read_number(const int64 *number)
{
	int64		read;

	LWLockAcquire(incident_lock, LW_SHARED);
	read = *number;
	LWLockRelease(incident_lock);
	return read;
}

int64
pmon_current_incident(void)
{
	return read_number(&pmon_incidents->current);
}

int64
pmon_last_incident(void)
{
	return read_number(&pmon_incidents->last_id);
}

void
pmon_reset_incidents(void)
{
	IncidentEnd end;

	LWLockAcquire(incident_lock, LW_EXCLUSIVE);
	end_current(&end);
	for (int i = 0; i < PMON_MAX_INCIDENTS; i++)
		pmon_incidents->incidents[i].id = 0;
	LWLockRelease(incident_lock);

	log_end(&end, true);
}
