/*-------------------------------------------------------------------------
 *
 * findings.h
 *	  What a diagnosis can find, in words and in order.
 *
 * A finding has a code, which is stable and documented, and a severity:
 * critical where clients are refused or wait, warning where they are about to,
 * or where something is wrong whoever suffers from it, notice for what is
 * merely worth to know.
 *
 * The codes are in the order of cause and effect: what stands before another
 * one can be its cause.  So findings are ordered by whether another one
 * explains them, by severity, by whether they are of now, by that order, and by
 * how many connections they account for.
 *
 * Pure functions; nothing here allocates, locks or raises an error.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_FINDINGS_H
#define PMON_FINDINGS_H

typedef enum PmonSeverity
{
	PMON_NOTICE,
	PMON_WARNING,
	PMON_CRITICAL
} PmonSeverity;

#define PMON_SEVERITIES		(PMON_CRITICAL + 1)

typedef enum PmonFindingCode
{
	PMON_FINDING_ORPHANED_PREPARED,
	PMON_FINDING_LEAK_IN_TRANSACTION,
	PMON_FINDING_LEAK_ABORTED,
	PMON_FINDING_LEAK_NOT_RETURNED,
	PMON_FINDING_CLIENT_NOT_READING,
	PMON_FINDING_LOCK_CONVOY,
	PMON_FINDING_LONG_STATEMENTS,
	PMON_FINDING_MORE_INSTANCES,
	PMON_FINDING_IDLE_PILE_UP,
	PMON_FINDING_APPLICATION_HOGS,
	PMON_FINDING_POOLS_OVERSUBSCRIBED,
	PMON_FINDING_POOL_TOO_SMALL,
	PMON_FINDING_MAX_CONNECTIONS_TOO_LOW,
	PMON_FINDING_LOGINS_STUCK,
	PMON_FINDING_ROLE_LIMIT,
	PMON_FINDING_DATABASE_LIMIT,
	PMON_FINDING_CONNECTION_CHURN,
	PMON_FINDING_RETRY_STORM,
	PMON_FINDING_POOL_OVERSIZED,
	PMON_FINDING_POOL_MOSTLY_IDLE,
	PMON_FINDING_SAMPLING_BLIND,
	PMON_FINDING_HEALTHY
} PmonFindingCode;

#define PMON_FINDING_CODES	(PMON_FINDING_HEALTHY + 1)

/* What a finding is about */
typedef enum PmonSubjectType
{
	PMON_SUBJECT_SERVER,
	PMON_SUBJECT_APPLICATION,
	PMON_SUBJECT_POOL,
	PMON_SUBJECT_SESSION,
	PMON_SUBJECT_PREPARED,
	PMON_SUBJECT_ROLE,
	PMON_SUBJECT_DATABASE,
	PMON_SUBJECT_SETTING
} PmonSubjectType;

#define PMON_SUBJECT_TYPES	(PMON_SUBJECT_SETTING + 1)

#define PMON_SUBJECT_BYTES		256
#define PMON_EVIDENCE_BYTES		1024
#define PMON_REMEDY_BYTES		768

typedef struct PmonFinding
{
	PmonFindingCode code;
	PmonSeverity severity;
	PmonSubjectType subject_type;
	char		subject[PMON_SUBJECT_BYTES];	/* empty: the server */
	char		evidence[PMON_EVIDENCE_BYTES];
	char		remedy[PMON_REMEDY_BYTES];

	/* to tell which one explains which */
	int			connections;	/* that it accounts for; or refused logins */
	int			pool;			/* in the facts, or -1 */
	char		application_name[NAMEDATALEN];	/* empty: none */
	int			moment;			/* in the facts; 0: now, else an incident */
	bool		explained;
} PmonFinding;

/* More than that at once, or of one code, are not worth a reader's time. */
#define PMON_MAX_FINDINGS		40
#define PMON_MAX_OF_CODE		8

typedef struct PmonFindings
{
	int			nfindings;
	PmonFinding findings[PMON_MAX_FINDINGS];
	PmonFinding surplus;		/* what one too many is written to */
} PmonFindings;

/*
 * Add a finding, without text, about nobody in particular.  Never NULL: where
 * there are too many, what is written there is lost.
 */
extern PmonFinding *pmon_add_finding(PmonFindings *findings,
									 PmonFindingCode code,
									 PmonSeverity severity,
									 PmonSubjectType subject_type,
									 const char *subject);

/* Bring them in order, the most likely cause first. */
extern void pmon_sort_findings(PmonFindings *findings);

/* The words that users see, and the section of the docs about it */
extern const char *pmon_finding_name(PmonFindingCode code);
extern const char *pmon_finding_reference(PmonFindingCode code);
extern const char *const pmon_severity_names[PMON_SEVERITIES];
extern const char *const pmon_subject_type_names[PMON_SUBJECT_TYPES];

/* Append to a text of that size, which is cut where it becomes too long. */
extern void pmon_append(char *text, size_t size, const char *format,...) pg_attribute_printf(3, 4);

/* The same for the texts of a finding */
#define PmonEvidence(finding, ...) \
	pmon_append((finding)->evidence, PMON_EVIDENCE_BYTES, __VA_ARGS__)
#define PmonRemedy(finding, ...) \
	pmon_append((finding)->remedy, PMON_REMEDY_BYTES, __VA_ARGS__)

/*
 * A name as a literal in SQL that is shown to be copied: whatever a client
 * calls itself, it stays one.  Returns the buffer.
 */
#define PMON_LITERAL_BYTES	(2 * PMON_SUBJECT_BYTES + 3)
extern const char *pmon_literal(const char *name, char *literal);

/* A duration in seconds as people say it, with two units at most: "7 min 38 s" */
#define PMON_AGE_BYTES		32
extern const char *pmon_age_text(double seconds, char *text);

/* So many a second, with a decimal where there are few; as large a buffer */
extern const char *pmon_rate_text(double rate, char *text);

#endif							/* PMON_FINDINGS_H */
