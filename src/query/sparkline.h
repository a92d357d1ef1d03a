/*-------------------------------------------------------------------------
 *
 * sparkline.h
 *	  A line of figures as a line of blocks, to look at in psql.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_SPARKLINE_H
#define PMON_SPARKLINE_H

/*
 * One character for each of n values, from 0 to the largest of them; a blank
 * where known[i] is false.  palloc'd, in the server's encoding: Unicode blocks
 * where that and the client's are UTF-8, ASCII characters of growing weight
 * elsewhere.
 */
extern char *pmon_sparkline(const int *values, const bool *known, int n);

#endif							/* PMON_SPARKLINE_H */
