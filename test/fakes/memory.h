/*-------------------------------------------------------------------------
 *
 * memory.h
 *	  Memory, for what is tested without a server: malloc's, so that
 *	  AddressSanitizer watches each piece.  What was allocated can be freed all at
 *	  once.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_FAKE_MEMORY_H
#define PMON_FAKE_MEMORY_H

#include <sanitizer/asan_interface.h>

#include "lib/ilist.h"
#include "utils/memutils.h"

#include "fakes/require.h"

MemoryContext CurrentMemoryContext = NULL;
MemoryContext TopMemoryContext = NULL;

/* What stands before each piece */
typedef struct Piece
{
	dlist_node	node;
	Size		size;
} Piece;

static dlist_head pieces = DLIST_STATIC_INIT(pieces);

/*
 * A large piece would be mapped and unmapped each time, which takes most of
 * the time.  So the last one is kept, and is out of bounds until it is used.
 */
#define LARGE	(100 * 1024)

static Piece *large = NULL;

static void *
allocate(Size size)
{
	Piece	   *piece = large;

	if (piece != NULL && piece->size == size)
	{
		large = NULL;
		ASAN_UNPOISON_MEMORY_REGION(piece + 1, size);
	}
	else
	{
		piece = malloc(sizeof(Piece) + size);
		require(piece != NULL, "no memory for %zu bytes", size);
		piece->size = size;
	}
	dlist_push_head(&pieces, &piece->node);
	return piece + 1;
}

static void
release(Piece *piece)
{
	if (piece->size > LARGE && large == NULL)
	{
		large = piece;
		ASAN_POISON_MEMORY_REGION(piece + 1, piece->size);
	}
	else
		free(piece);
}

void *
palloc(Size size)
{
	require(size <= MaxAllocSize, "palloc() of %zu bytes", size);
	return allocate(size);
}

void *
palloc_extended(Size size, int flags)
{
	require(size <= MaxAllocSize || (flags & MCXT_ALLOC_HUGE) != 0,
			"palloc_extended() of %zu bytes", size);
	return allocate(size);
}

void *
palloc0(Size size)
{
	return memset(palloc(size), 0, size);
}

void
pfree(void *pointer)
{
	Piece	   *piece = (Piece *) pointer - 1;

	dlist_delete(&piece->node);
	release(piece);
}

void *
MemoryContextAllocHuge(MemoryContext context, Size size)
{
	return allocate(size);
}

void *
MemoryContextAllocExtended(MemoryContext context, Size size, int flags)
{
	void	   *pointer = allocate(size);

	return flags & MCXT_ALLOC_ZERO ? memset(pointer, 0, size) : pointer;
}

MemoryContext
AllocSetContextCreateInternal(MemoryContext parent, const char *name,
							  Size minContextSize, Size initBlockSize,
							  Size maxBlockSize)
{
	return parent;
}

void
MemoryContextDelete(MemoryContext context)
{
}

/* Free what was allocated; or never free what is allocated by now. */
static inline void
free_all(void)
{
	while (!dlist_is_empty(&pieces))
		release(dlist_container(Piece, node, dlist_pop_head_node(&pieces)));
}

static dlist_head kept = DLIST_STATIC_INIT(kept);

static inline void
keep_all(void)
{
	while (!dlist_is_empty(&pieces))
		dlist_push_head(&kept, dlist_pop_head_node(&pieces));
}

char *
psprintf(const char *fmt,...)
{
	char	   *text = allocate(1024);
	va_list		args;

	va_start(args, fmt);
	vsnprintf(text, 1024, fmt, args);
	va_end(args);
	return text;
}

#endif							/* PMON_FAKE_MEMORY_H */
