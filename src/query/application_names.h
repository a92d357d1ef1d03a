/*-------------------------------------------------------------------------
 *
 * application_names.h
 *	  The names of applications, for who reads what is kept by their ids.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_APPLICATION_NAMES_H
#define PMON_APPLICATION_NAMES_H

#include "datatype/timestamp.h"
#include "utils/hsearch.h"

typedef struct PmonApplicationName
{
	uint32		id;
	char		application_name[NAMEDATALEN];
	TimestampTz reset_at;		/* 0: never */
} PmonApplicationName;

typedef struct PmonApplicationNames
{
	HTAB	   *table;
	uint32		other_id;		/* that of "<other>" */
} PmonApplicationNames;

/*
 * Copy the names of all applications that there are; palloc'd.  Takes PmonLock(),
 * shared.
 */
extern PmonApplicationNames pmon_read_application_names(void);

/* The application with that id; NULL where it has been folded, or is none */
extern const PmonApplicationName *pmon_find_application(const PmonApplicationNames *names,
														uint32 id);

#endif							/* PMON_APPLICATION_NAMES_H */
