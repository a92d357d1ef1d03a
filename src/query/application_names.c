/*-------------------------------------------------------------------------
 *
 * application_names.c
 *	  The names of applications, for who reads what is kept by their ids.
 *
 * An application is known by its id in the history and in the holds, which is its
 * own for good; its name is in shared memory as long as it has a place there.
 * The names are copied first, so that nothing is allocated under the lock.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "query/application_names.h"
#include "query/local_hash.h"
#include "shared/groups.h"

PmonApplicationNames
pmon_read_application_names(void)
{
	PmonApplicationNames names;
	PmonApplicationName *read = palloc(sizeof(PmonApplicationName) * pmon->max_groups);
	int			n = 0;

	LWLockAcquire(PmonLock(), LW_SHARED);
	for (int i = 0; i < pmon->max_groups && n < pmon_group_table->napplications; i++)
	{
		const PmonApplication *application = &pmon_applications[i];

		if (!application->in_use)
			continue;
		read[n].id = application->id;
		read[n].reset_at = application->reset_at;
		memcpy(read[n++].application_name, application->application_name, NAMEDATALEN);
	}
	names.other_id = pmon_applications[0].id;
	LWLockRelease(PmonLock());

	names.table = pmon_local_hash("application names", sizeof(uint32),
								  sizeof(PmonApplicationName));
	for (int i = 0; i < n; i++)
		*PmonLocalEntry(names.table, &read[i].id, PmonApplicationName) = read[i];
	pfree(read);
	return names;
}

const PmonApplicationName *
pmon_find_application(const PmonApplicationNames *names, uint32 id)
{
	return hash_search(names->table, &id, HASH_FIND, NULL);
}
