/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Differences between the supported PostgreSQL versions, 15 to 19.
 *
 * Every test of PG_VERSION_NUM in the project is in this file.  Include it
 * right after postgres.h, before any other header of the server.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_COMPAT_H
#define PMON_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "pool_monitor needs PostgreSQL 15 or later"
#endif

/*
 * Without them, the server takes spinlocks in their place.  We use them in a
 * signal handler, and in processes that may take none.
 */
#include "port/atomics.h"
#ifdef PG_HAVE_ATOMIC_U64_SIMULATION
#error "pool_monitor needs a platform with 64-bit atomic operations"
#endif

/*
 * libpq-be.h includes the GSSAPI headers when the server was built with
 * GSSAPI, and Debian's server-dev packages do not bring them.  We use none of
 * the GSSAPI fields, and core keeps the offsets in Port the same without them
 * ("for extension ABI compatibility"), so where the header is not installed
 * we do without.
 */
#if defined(ENABLE_GSS) && defined(__has_include)
#if !__has_include(<gssapi/gssapi.h>) && !__has_include(<gssapi.h>)
#undef ENABLE_GSS
#endif
#endif

#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "funcapi.h"
#include "libpq/auth.h"
#include "libpq/libpq-be.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/autovacuum.h"
#include "postmaster/postmaster.h"
#include "replication/walsender.h"
#include "storage/ipc.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/backend_status.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"
#if PG_VERSION_NUM >= 170000
#include "commands/event_trigger.h"
#include "utils/wait_event.h"
#else
#include "storage/backendid.h"
#endif

/*
 * A backend's place in the status array: counted from 0, below MaxBackends,
 * known once InitPostgres() has called pgstat_beinit().
 */
#if PG_VERSION_NUM >= 170000
#define PmonMySlot()	((int) MyProcNumber)
#else
#define PmonMySlot()	((int) MyBackendId - 1)
#endif

/*
 * Does a transaction of login triggers follow the one that ends InitPostgres()?
 * As EventTriggerOnLogin() decides.
 */
#if PG_VERSION_NUM >= 170000
#define PmonLoginTriggersFollow() \
	(event_triggers && OidIsValid(MyDatabaseId) && \
	 MyDatabaseHasLoginEventTriggers)
#else
#define PmonLoginTriggersFollow()	false
#endif

/* Connection slots that ordinary roles can not use */
#if PG_VERSION_NUM >= 160000
#define PmonReservedSlots() \
	(SuperuserReservedConnections + ReservedConnections)
#else
#define PmonReservedSlots()		(ReservedBackends)
#endif

/* Are at least n connection slots free?  Walks at most n list elements. */
static inline bool
PmonHaveFreeSlots(int n)
{
#if PG_VERSION_NUM >= 160000
	int			nfree;

	return HaveNFreeProcs(n, &nfree);
#else
	return HaveNFreeProcs(n);
#endif
}

/* From 18 on, a connection is in the status array before it is authenticated */
#if PG_VERSION_NUM >= 180000
#define PMON_HAVE_STATE_STARTING 1
#endif

/* The place of a status entry's PGPROC, where it can be computed */
#if PG_VERSION_NUM >= 170000
#define PMON_SLOT_IS_PROC_NUMBER 1
#else
/* else the slot (counted from 0) that a PGPROC belongs to, or -1 */
#define PmonProcSlot(proc)	((int) (proc)->backendId - 1)
#endif

/* How a PGPROC is linked into the queue of a lock */
#if PG_VERSION_NUM >= 190000
#define PmonWaitLink	waitLink
#else
#define PmonWaitLink	links
#endif

/*
 * Copy the process IDs in the queue of a lock, in their order.  Wants the lock
 * of its partition.  Returns how many there are, at most max.
 */
static inline int
PmonCopyWaitQueue(LOCK *lock, int *pids, int max)
{
	int			n = 0;
#if PG_VERSION_NUM >= 160000
	dlist_iter	iter;
#else
	PGPROC	   *proc = (PGPROC *) lock->waitProcs.links.next;
#endif

	Assert(LWLockHeldByMe(LockHashPartitionLock(LockTagHashCode(&lock->tag))));
#if PG_VERSION_NUM >= 160000
	dclist_foreach(iter, &lock->waitProcs)
	{
		if (n == max)
			break;
		pids[n++] = dlist_container(PGPROC, PmonWaitLink, iter.cur)->pid;
	}
#else
	while (n < lock->waitProcs.size && n < max)
	{
		pids[n++] = proc->pid;
		proc = (PGPROC *) proc->links.next;
	}
#endif
	return n;
}

/* The virtual transaction that has a lock, as one number */
#if PG_VERSION_NUM >= 170000
#define PmonVirtualXact(instance) \
	((uint64) (uint32) (instance)->vxid.procNumber << 32 | \
	 (instance)->vxid.localTransactionId)
#else
#define PmonVirtualXact(instance) \
	((uint64) (uint32) (instance)->backend << 32 | (instance)->lxid)
#endif

/* ShmemInitHash() takes one size from 19 on */
static inline HTAB *
PmonShmemInitHash(const char *name, int nelems, HASHCTL *info, int flags)
{
#if PG_VERSION_NUM >= 190000
	return ShmemInitHash(name, nelems, info, flags);
#else
	return ShmemInitHash(name, nelems, nelems, info, flags);
#endif
}

/* Memory that a check hook hands over as "extra" */
#if PG_VERSION_NUM >= 160000
#define PmonGucMalloc(size)		guc_malloc(LOG, size)
#define PmonGucFree(pointer)	guc_free(pointer)
#else
#define PmonGucMalloc(size)		malloc(size)
#define PmonGucFree(pointer)	free(pointer)
#endif

/* The slot that the first part of a virtual transaction id stands for */
#if PG_VERSION_NUM >= 170000
#define PmonSlotOfVirtualXact(proc) (proc)
#else
#define PmonSlotOfVirtualXact(proc) ((proc) - 1)
#endif

/* What a callback of the syscache is given to tell which cache it is */
#if PG_VERSION_NUM >= 190000
#define PmonCacheId SysCacheIdentifier
#else
#define PmonCacheId int
#endif

/*
 * 15 exports what describes an SQL function, but not the function: see the
 * Makefile, which hides the rest there, as later versions do.
 */
#if PG_VERSION_NUM < 160000
#undef PG_FUNCTION_INFO_V1
#define PG_FUNCTION_INFO_V1(funcname) \
extern PGDLLEXPORT Datum funcname(PG_FUNCTION_ARGS); \
extern PGDLLEXPORT const Pg_finfo_record *CppConcat(pg_finfo_,funcname) (void); \
const Pg_finfo_record * \
CppConcat(pg_finfo_,funcname) (void) \
{ \
	static const Pg_finfo_record my_finfo = {1}; \
	return &my_finfo; \
} \
extern int	no_such_variable
#endif

/*
 * For the declaration of a variable that each transaction looks at: it is within
 * the library, so no table of symbols is in the way.
 */
#if defined(__GNUC__)
#define PMON_HIDDEN __attribute__((visibility("hidden")))
#else
#define PMON_HIDDEN
#endif

/* The server's own record of one of its settings, or NULL */
static inline struct config_generic *
PmonFindSetting(const char *name)
{
#if PG_VERSION_NUM >= 160000
	return find_option(name, false, true, LOG);
#else
	struct config_generic **settings = get_guc_variables();

	for (int i = 0; i < GetNumConfigOptions(); i++)
	{
		if (strcmp(settings[i]->name, name) == 0)
			return settings[i];
	}
	return NULL;
#endif
}

#if PG_VERSION_NUM >= 190000
#define PmonIntSetting(setting) (&(setting)->_int)
#define PmonStringSetting(setting) (&(setting)->_string)
#else
#define PmonIntSetting(setting) ((struct config_int *) (setting))
#define PmonStringSetting(setting) ((struct config_string *) (setting))
#endif

/* What a backend has to say at least to be logged */
#if PG_VERSION_NUM >= 190000
#define PmonLogMinMessages()	(log_min_messages[B_BACKEND])
#else
#define PmonLogMinMessages()	(log_min_messages)
#endif

/* Does libpq's buffer hold bytes of a next message? */
#if PG_VERSION_NUM >= 170000
#define PmonInputIsBuffered()	(pq_buffer_remaining_data() > 0)
#else
#define PmonInputIsBuffered()	pq_buffer_has_data()
#endif

/* Call core's handler of SIGUSR1 from within our own */
#if PG_VERSION_NUM >= 190000
#define PmonCallProcsignalHandler() \
	procsignal_sigusr1_handler(postgres_signal_arg, pg_siginfo)
#else
#define PmonCallProcsignalHandler() \
	procsignal_sigusr1_handler(postgres_signal_arg)
#endif

/* Ignore a signal: handlers take more arguments from 19 on */
#ifndef PG_SIG_IGN
#define PG_SIG_IGN	SIG_IGN
#endif

/* Let a worker be ended where its database is to be dropped, where core can */
#if PG_VERSION_NUM >= 190000
#define PMON_BGWORKER_INTERRUPTIBLE	BGWORKER_INTERRUPTIBLE
#else
#define PMON_BGWORKER_INTERRUPTIBLE	0
#endif

/* The wait event that the worker shows while it sleeps */
#if PG_VERSION_NUM >= 170000
#define PmonWaitEvent(name)		WaitEventExtensionNew(name)
#else
#define PmonWaitEvent(name)		PG_WAIT_EXTENSION
#endif

/* Does an event have a number that a library was given by the running server? */
#if PG_VERSION_NUM >= 170000
#define PmonIsCustomWaitEvent(info) \
	((((info) & 0xFF000000U) == PG_WAIT_EXTENSION && ((info) & 0xFFFFU) != 0) || \
	 ((info) & 0xFF000000U) == PG_WAIT_INJECTIONPOINT)
#else
#define PmonIsCustomWaitEvent(info)	false
#endif

/* A descriptor of the first columns of rows */
static inline TupleDesc
PmonFirstColumns(TupleDesc tupdesc, int natts)
{
#if PG_VERSION_NUM >= 180000
	return CreateTupleDescTruncatedCopy(tupdesc, natts);
#else
	TupleDesc	first = CreateTemplateTupleDesc(natts);

	for (int i = 1; i <= natts; i++)
		TupleDescCopyEntry(first, i, tupdesc, i);
	return first;
#endif
}

/* Intervals are infinite from 17 on */
#ifndef INTERVAL_NOT_FINITE
#define INTERVAL_NOT_FINITE(interval)	false
#endif

/* A member that starts a cache line, where the compiler can do that */
#ifdef pg_attribute_aligned
#define PMON_STARTS_CACHE_LINE	pg_attribute_aligned(64)
#else
#define PMON_STARTS_CACHE_LINE
#endif

/* Have the memory at an address fetched into the cache; a hint, no more */
#if defined(__GNUC__) || defined(__clang__)
#define PmonPrefetch(address)	__builtin_prefetch(address)
#else
#define PmonPrefetch(address)	((void) 0)
#endif

#endif							/* PMON_COMPAT_H */
