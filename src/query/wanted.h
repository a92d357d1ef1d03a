/*-------------------------------------------------------------------------
 *
 * wanted.h
 *	  What a query wants of a function that it reads rows from.
 *
 * The executor has such a function make all of its rows, with all of their
 * columns, before it looks at the first one.  "SELECT pid FROM a_view WHERE
 * application_name = 'x'" would so pay for the text of all statements.  But the
 * plan is known when the function is called, and its node for the function says
 * which columns anybody looks at and which conditions a row has to meet.  So a
 * function can leave other columns null, fill those that the conditions
 * refer to first, and leave out the rows that do not meet them.
 *
 * The executor still tests what it is given.  Where the plan is not one that we
 * understand, all columns are wanted, and all rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_WANTED_H
#define PMON_WANTED_H

#include "nodes/execnodes.h"

#include "query/result_set.h"

typedef struct PmonWanted
{
	bool		columns[PMON_MAX_COLUMNS];	/* does anybody look at it? */

	/*
	 * the same as numbers from 0 on: those that the conditions test, and
	 * others
	 */
	int			tested[PMON_MAX_COLUMNS];
	int			ntested;
	int			others[PMON_MAX_COLUMNS];
	int			nothers;

	TupleDesc	tupdesc;		/* of the columns up to the last of these */
	ExprState  *conditions;		/* NULL: none that we can test */
	ExprContext *econtext;
	TupleTableSlot *slot;
} PmonWanted;

/*
 * Find out, after InitMaterializedSRF(), for a function whose rows have so many
 * columns.  Free what testing rows takes.
 */
extern void pmon_begin_wanted(FunctionCallInfo fcinfo, int ncolumns, PmonWanted *wanted);
extern void pmon_end_wanted(PmonWanted *wanted);

/* Does a row meet the conditions?  It must have the columns that they test. */
extern bool pmon_row_is_wanted(PmonWanted *wanted, const PmonRow *row);

/*
 * Add the row to the function's result, as pmon_add_row() does, without the columns
 * after the last one that is wanted: to the executor, a row that ends early has
 * nulls there, as one from before ALTER TABLE ADD COLUMN.
 */
extern void pmon_add_wanted_row(FunctionCallInfo fcinfo, const PmonWanted *wanted,
								PmonRow *row);

#endif							/* PMON_WANTED_H */
