/*-------------------------------------------------------------------------
 *
 * wanted.c
 *	  What a query wants of a function that it reads rows from.
 *
 * See wanted.h.  The node of the plan is found by the expression that calls us:
 * it is the very one that the node has.  All that looks at a row of that node is
 * in the node itself, its target list and its conditions.  With one exception:
 * to save a projection, the planner lets a node hand on all columns to one that
 * projects anyway, as an aggregate does, so an aggregate above it is asked
 * instead.
 *
 * A condition is tested here only where it comes out the same for as long as
 * the rows are kept.  One that refers to what another node of the plan hands
 * over does not: the rows are read again with each value of it.  Nor is one
 * tested that calls a function which is not the server's own: such a function may
 * do anything, and may not expect to be called twice for a row, or by another role
 * than the one that the query was prepared by.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "access/sysattr.h"
#include "access/transam.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "nodes/plannodes.h"
#include "optimizer/optimizer.h"

#include "query/wanted.h"

/* What is looked for in a plan, and what was found */
typedef struct Search
{
	const Node *call;
	const FunctionScan *scan;
	const Plan *parent;			/* whose outer child it is, if any */
} Search;

static bool search_plan(Search *search, const Plan *plan, const Plan *parent);

static bool
search_plans(Search *search, List *plans)
{
	ListCell   *cell;

	foreach(cell, plans)
	{
		if (search_plan(search, lfirst(cell), NULL))
			return true;
	}
	return false;
}

/* Does this node call the function, and nothing else? */
static bool
calls_function(const Search *search, const Plan *plan)
{
	const FunctionScan *scan = (const FunctionScan *) plan;

	return IsA(plan, FunctionScan) && list_length(scan->functions) == 1 &&
		!scan->funcordinality &&
		linitial_node(RangeTblFunction, scan->functions)->funcexpr == search->call;
}

static bool
search_plan(Search *search, const Plan *plan, const Plan *parent)
{
	if (plan == NULL)
		return false;
	check_stack_depth();

	if (calls_function(search, plan))
	{
		search->scan = (const FunctionScan *) plan;
		search->parent = parent;
		return true;
	}
	if (search_plan(search, outerPlan(plan), plan) ||
		search_plan(search, innerPlan(plan), NULL))
		return true;
	switch (nodeTag(plan))
	{
		case T_SubqueryScan:
			return search_plan(search, ((const SubqueryScan *) plan)->subplan, NULL);
		case T_Append:
			return search_plans(search, ((const Append *) plan)->appendplans);
		case T_MergeAppend:
			return search_plans(search, ((const MergeAppend *) plan)->mergeplans);
		default:
			return false;
	}
}

/* The node that calls the function, and its parent */
static bool
find_scan(FunctionCallInfo fcinfo, Search *search)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	const PlannedStmt *statement = rsinfo->econtext->ecxt_estate != NULL ?
	rsinfo->econtext->ecxt_estate->es_plannedstmt : NULL;

	search->call = fcinfo->flinfo->fn_expr;
	if (statement == NULL || search->call == NULL)
		return false;
	return search_plan(search, statement->planTree, NULL) ||
		search_plans(search, statement->subplans);
}

/*
 * The places in the node's target list that are looked at, counted from 1; false
 * where that is all of them
 */
static bool
read_by_parent(const Plan *parent, Bitmapset **places)
{
	const Agg  *agg = (const Agg *) parent;
	Bitmapset  *vars = NULL;
	int			member = -1;

	/* several sets of groups are several nodes that read the same rows */
	if (parent == NULL || !IsA(parent, Agg) || agg->groupingSets != NIL || agg->chain != NIL)
		return false;
	pull_varattnos((Node *) parent->targetlist, OUTER_VAR, &vars);
	pull_varattnos((Node *) parent->qual, OUTER_VAR, &vars);
	while ((member = bms_next_member(vars, member)) >= 0)
	{
		int			place = member + FirstLowInvalidHeapAttributeNumber;

		if (place <= 0)
			return false;
		*places = bms_add_member(*places, place);
	}
	for (int i = 0; i < agg->numCols; i++)
		*places = bms_add_member(*places, agg->grpColIdx[i]);
	return true;
}

/* Note the columns that an expression refers to: with all of the row, all. */
static void
note_columns(const FunctionScan *scan, Node *expression, bool *columns)
{
	Bitmapset  *vars = NULL;
	int			member = -1;

	pull_varattnos(expression, scan->scan.scanrelid, &vars);
	while ((member = bms_next_member(vars, member)) >= 0)
	{
		int			column = member + FirstLowInvalidHeapAttributeNumber;

		if (column <= 0)
			memset(columns, true, sizeof(bool) * PMON_MAX_COLUMNS);
		else if (column <= PMON_MAX_COLUMNS)
			columns[column - 1] = true;
	}
}

static bool
is_foreign(Oid function, void *context)
{
	return function >= FirstUnpinnedObjectId;
}

/* Does it refer to other nodes, or call what is not the server's? */
static bool
reaches_out(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (check_functions_in_node(node, is_foreign, NULL))
		return true;
	if (IsA(node, SubPlan) || IsA(node, AlternativeSubPlan) ||
		(IsA(node, Param) && ((Param *) node)->paramkind != PARAM_EXTERN))
		return true;
	return expression_tree_walker(node, reaches_out, context);
}

/* Prepare the node's conditions, up to the first that can not be tested here. */
static void
prepare_conditions(FunctionCallInfo fcinfo, const FunctionScan *scan, PmonWanted *wanted,
				   bool *tested)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	List	   *conditions = NIL;
	ListCell   *cell;

	foreach(cell, scan->scan.plan.qual)
	{
		if (reaches_out(lfirst(cell), NULL) ||
			contain_volatile_functions(lfirst(cell)))
			break;
		conditions = lappend(conditions, lfirst(cell));
	}
	if (conditions == NIL)
		return;
	note_columns(scan, (Node *) conditions, tested);
	wanted->conditions = ExecInitQual(conditions, NULL);
	wanted->econtext = CreateExprContext(rsinfo->econtext->ecxt_estate);
	wanted->slot = MakeSingleTupleTableSlot(rsinfo->setDesc, &TTSOpsVirtual);
	wanted->econtext->ecxt_scantuple = wanted->slot;
}

static void
read_node(FunctionCallInfo fcinfo, const Search *search, PmonWanted *wanted, bool *tested)
{
	const Plan *plan = &search->scan->scan.plan;
	Bitmapset  *places = NULL;
	bool		all = !read_by_parent(search->parent, &places);
	ListCell   *cell;

	foreach(cell, plan->targetlist)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		if (all || bms_is_member(entry->resno, places))
			note_columns(search->scan, (Node *) entry->expr, wanted->columns);
	}
	note_columns(search->scan, (Node *) plan->qual, wanted->columns);
	prepare_conditions(fcinfo, search->scan, wanted, tested);
}

void
pmon_begin_wanted(FunctionCallInfo fcinfo, int ncolumns, PmonWanted *wanted)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Search		search = {0};
	int			last = 0;
	bool		tested[PMON_MAX_COLUMNS] = {0};

	memset(wanted, 0, sizeof(*wanted));
	if (find_scan(fcinfo, &search))
		read_node(fcinfo, &search, wanted, tested);
	else
		memset(wanted->columns, true, sizeof(wanted->columns));

	for (int i = 0; i < ncolumns; i++)
	{
		if (tested[i])
			wanted->tested[wanted->ntested++] = i;
		else if (wanted->columns[i])
			wanted->others[wanted->nothers++] = i;
		if (wanted->columns[i])
			last = i;
	}
	wanted->tupdesc = PmonFirstColumns(rsinfo->setDesc,
									   Min(last + 1, rsinfo->setDesc->natts));
}

void
pmon_end_wanted(PmonWanted *wanted)
{
	if (wanted->conditions == NULL)
		return;
	ExecDropSingleTupleTableSlot(wanted->slot);
	FreeExprContext(wanted->econtext, true);
}

bool
pmon_row_is_wanted(PmonWanted *wanted, const PmonRow *row)
{
	TupleTableSlot *slot = wanted->slot;
	int			ncolumns;

	if (wanted->conditions == NULL)
		return true;

	/* a function that is declared with other columns is an error of its own */
	ncolumns = slot->tts_tupleDescriptor->natts;
	if (ncolumns != row->ncolumns)
		return true;
	ExecClearTuple(slot);
	memcpy(slot->tts_values, row->values, sizeof(Datum) * ncolumns);
	memcpy(slot->tts_isnull, row->nulls, sizeof(bool) * ncolumns);
	ExecStoreVirtualTuple(slot);
	return ExecQualAndReset(wanted->conditions, wanted->econtext);
}

void
pmon_add_wanted_row(FunctionCallInfo fcinfo, const PmonWanted *wanted, PmonRow *row)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	pmon_check_columns(fcinfo, row, rsinfo->setDesc);
	tuplestore_putvalues(rsinfo->setResult, wanted->tupdesc, row->values, row->nulls);
	row->ncolumns = 0;
}
