/*-------------------------------------------------------------------------
 *
 * incidents.h
 *	  When the server ran out of connections, and who held them then.
 *
 * An incident starts with the first login that is refused since the server has
 * no connection left, or when utilization reaches
 * pool_monitor.critical_threshold.  It ends when utilization has been below
 * pool_monitor.warning_threshold, and no login has been refused, for ten samples
 * and for ten seconds.  The limit of a role or a database concerns who has it,
 * and not the server: it is no incident.
 *
 * The last PMON_MAX_INCIDENTS are kept.  They have a lock of their own, the
 * incident lock; only the worker opens and closes incidents.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_INCIDENTS_H
#define PMON_INCIDENTS_H

#include "shared/holders.h"
#include "shared/rejections.h"
#include "shared/shared_state.h"

#define PMON_MAX_INCIDENTS		32

typedef enum PmonIncidentReason
{
	PMON_INCIDENT_TOO_MANY_CLIENTS,
	PMON_INCIDENT_RESERVED_SLOTS,
	PMON_INCIDENT_CRITICAL_THRESHOLD
} PmonIncidentReason;

#define PMON_INCIDENT_REASONS	(PMON_INCIDENT_CRITICAL_THRESHOLD + 1)

typedef struct PmonIncident
{
	int64		id;				/* 0: an unused place */
	TimestampTz started_at;
	TimestampTz ended_at;		/* 0: it goes on */
	int			reason;			/* a PmonIncidentReason */
	PmonPeak	peak_connections;
	uint64		rejected;
	char		top_application[NAMEDATALEN];	/* held most at its peak */
	PmonHolders at_start;
	PmonHolders at_peak;
} PmonIncident;

typedef struct PmonIncidents
{
	int64		last_id;
	int64		current;		/* the id of the one that goes on, or 0 */
	uint64		rejected_seen[PMON_SERVER_REJECT_REASONS];	/* in all, when last
															 * looked */
	TimestampTz healthy_since;	/* 0: not healthy */
	int			healthy_samples;
	PmonIncident incidents[PMON_MAX_INCIDENTS];
} PmonIncidents;

/* NULL unless the library is preloaded */
extern PmonIncidents *pmon_incidents;

/* Ask for the memory and the lock.  Called from _PG_init(). */
extern void pmon_request_incidents(void);

/* The place of an incident, whether or not it is still kept there */
#define PmonIncidentAt(number) \
	(&pmon_incidents->incidents[(number) % PMON_MAX_INCIDENTS])

/* Allocate what the worker needs, in the current memory context. */
extern void pmon_incidents_init(void);

/*
 * Open an incident if a login was refused since this was last called, because
 * the server is full.  Called
 * by the worker whenever it is woken.
 */
extern void pmon_check_rejections(void);

/*
 * Open, update or close an incident in the light of a sample with that many
 * sessions.  Called by the worker after each sample.
 */
extern void pmon_check_utilization(int connections);

/* Take all refused logins to be seen.  For server start. */
extern void pmon_note_rejections(void);

/*
 * Copy an incident, palloc'd; NULL when it is not kept.  Takes the incident
 * lock, shared.
 */
extern PmonIncident *pmon_copy_incident(int64 id);

/* The current incident's and the last one's number, or 0 */
extern int64 pmon_current_incident(void);
extern int64 pmon_last_incident(void);

/*
 * Forget all incidents; the log has the end of the one that goes on.  Takes
 * the incident lock.
 */
extern void pmon_reset_incidents(void);

#endif							/* PMON_INCIDENTS_H */
