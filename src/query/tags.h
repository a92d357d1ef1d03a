/*-------------------------------------------------------------------------
 *
 * tags.h
 *	  Tags of statements, as SQL shows them.
 *
 * pure/sql_tags.h reads them from a statement's comment; here they become jsonb.
 * JSON text is made first, since that interface has been the same for long.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_TAGS_H
#define PMON_TAGS_H

#include "query/result_set.h"

/*
 * Tags as pure/sql_tags.h has them, as jsonb: an object of strings; null where
 * there are none.  What can not be text here has "?" in the place of its bytes.
 */
extern void pmon_put_tags(PmonRow *row, const char *tags, int length);

/* The tags of a statement, which may be NULL */
extern void pmon_put_statement_tags(PmonRow *row, const char *statement);

/* What stands for tags that there was no place for: the string "<other>" */
extern void pmon_put_other_tags(PmonRow *row);

#endif							/* PMON_TAGS_H */
