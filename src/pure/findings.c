/*-------------------------------------------------------------------------
 *
 * findings.c
 *	  What a diagnosis can find, in words and in order.
 *
 * See findings.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pure/findings.h"

#define SECONDS_PER_MINUTE	60
#define SECONDS_PER_HOUR	3600
#define SECONDS_PER_DAY		86400

const char *const pmon_severity_names[PMON_SEVERITIES] = {
	"notice", "warning", "critical"
};

const char *const pmon_subject_type_names[PMON_SUBJECT_TYPES] = {
	"server", "application", "pool", "session", "prepared transaction",
	"role", "database", "setting"
};

/* Of each code, its name and where to read on */
static const struct
{
	const char *name;
	const char *section;
}			codes[PMON_FINDING_CODES] = {
	{"orphaned_prepared_transaction", "sessions-wait-for-locks"},
	{"leak_in_transaction", "connections-leak"},
	{"leak_aborted", "connections-leak"},
	{"leak_not_returned", "connections-leak"},
	{"client_not_reading", "clients-do-not-read"},
	{"lock_convoy", "sessions-wait-for-locks"},
	{"long_statements", "statements-take-long"},
	{"more_instances_than_declared", "more-sessions-than-declared"},
	{"idle_pile_up", "too-many-idle-sessions"},
	{"application_hogs_server", "one-application-has-them-all"},
	{"pools_oversubscribed", "declared-pools"},
	{"pool_too_small", "choosing-a-pool-size"},
	{"max_connections_too_low", "the-server-is-too-small"},
	{"logins_stuck", "logins-do-not-get-through"},
	{"role_limit", "limits-of-roles-and-databases"},
	{"database_limit", "limits-of-roles-and-databases"},
	{"connection_churn", "sessions-come-and-go"},
	{"retry_storm", "sessions-come-and-go"},
	{"pool_oversized", "choosing-a-pool-size"},
	{"pool_mostly_idle", "choosing-a-pool-size"},
	{"sampling_blind", "troubleshooting"},
	{"healthy", "an-incident-now"}
};

const char *
pmon_finding_name(PmonFindingCode code)
{
	return codes[code].name;
}

const char *
pmon_finding_reference(PmonFindingCode code)
{
	return codes[code].section;
}

PmonFinding *
pmon_add_finding(PmonFindings *findings, PmonFindingCode code,
				 PmonSeverity severity, PmonSubjectType subject_type,
				 const char *subject)
{
	PmonFinding *finding = &findings->surplus;
	int			same = 0;

	for (int i = 0; i < findings->nfindings; i++)
		same += findings->findings[i].code == code;
	if (findings->nfindings < PMON_MAX_FINDINGS && same < PMON_MAX_OF_CODE)
		finding = &findings->findings[findings->nfindings++];

	memset(finding, 0, sizeof(*finding));
	finding->code = code;
	finding->severity = severity;
	finding->subject_type = subject_type;
	finding->pool = -1;
	pmon_append(finding->subject, PMON_SUBJECT_BYTES, "%s", subject);
	return finding;
}

static int
compare_findings(const void *a, const void *b)
{
	const PmonFinding *left = a;
	const PmonFinding *right = b;

	if (left->explained != right->explained)
		return left->explained ? 1 : -1;
	if (left->severity != right->severity)
		return left->severity > right->severity ? -1 : 1;
	if (left->moment != right->moment)
		return left->moment < right->moment ? -1 : 1;
	if (left->code != right->code)
		return left->code < right->code ? -1 : 1;
	if (left->connections != right->connections)
		return left->connections > right->connections ? -1 : 1;
	return strcmp(left->subject, right->subject);
}

void
pmon_sort_findings(PmonFindings *findings)
{
	qsort(findings->findings, findings->nfindings, sizeof(PmonFinding),
		  compare_findings);
}

void
pmon_append(char *text, size_t size, const char *format,...)
{
	size_t		length = strlen(text);
	va_list		args;

	va_start(args, format);
	vsnprintf(text +length, size - length, format, args);
	va_end(args);
}

const char *
pmon_literal(const char *name, char *literal)
{
	char	   *to = literal;

	*to++ = '\'';
	for (int i = 0; i < PMON_SUBJECT_BYTES && name[i] != '\0'; i++)
	{
		if (name[i] == '\'')
			*to++ = '\'';
		*to++ = name[i];
	}
	*to++ = '\'';
	*to = '\0';
	return literal;
}

const char *
pmon_age_text(double seconds, char *text)
{
	long long	s = seconds > 0 ? (long long) seconds : 0;

	if (s < 1)
		snprintf(text, PMON_AGE_BYTES, "%d ms", (int) (Max(seconds, 0) * 1000));
	else if (s < SECONDS_PER_MINUTE)
		snprintf(text, PMON_AGE_BYTES, "%lld s", s);
	else if (s < SECONDS_PER_HOUR)
		snprintf(text, PMON_AGE_BYTES, "%lld min %lld s",
				 s / SECONDS_PER_MINUTE, s % SECONDS_PER_MINUTE);
	else if (s < SECONDS_PER_DAY)
		snprintf(text, PMON_AGE_BYTES, "%lld h %lld min", s / SECONDS_PER_HOUR,
				 s % SECONDS_PER_HOUR / SECONDS_PER_MINUTE);
	else
		snprintf(text, PMON_AGE_BYTES, "%lld d %lld h", s / SECONDS_PER_DAY,
				 s % SECONDS_PER_DAY / SECONDS_PER_HOUR);
	return text;
}

const char *
pmon_rate_text(double rate, char *text)
{
	snprintf(text, PMON_AGE_BYTES, rate < 10 ? "%.1f" : "%.0f", rate);
	return text;
}
