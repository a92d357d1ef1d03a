/*-------------------------------------------------------------------------
 *
 * report_html.h
 *	  Text and tables as HTML.
 *
 * Whatever the report shows was written by a client sooner or later, so there
 * is one way for text to get into it: pmon_html_text() and what calls it.  What
 * comes out of that is inert between tags and in a quoted attribute, and plain
 * ASCII: a character that is not is written as a reference to its number.  The
 * file is thereby the same whatever the encodings of the database and of the
 * client that writes it to disk, and no character can fail on its way there.
 * What is no character in the database's encoding is "?"; control characters,
 * and those that would reorder the text around them, are U+FFFD.
 *
 * Markup is written by pmon_html_markup(), which is only ever given constants.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_REPORT_HTML_H
#define PMON_REPORT_HTML_H

#include "lib/stringinfo.h"

typedef struct PmonHtml
{
	StringInfoData out;
	int			encoding;		/* of the text that is given */
	Oid			to_utf8;		/* the conversion from it, if there is one */
	int			ntables;		/* for their ids */
} PmonHtml;

typedef enum PmonHtmlCell
{
	PMON_CELL_TEXT,
	PMON_CELL_NUMBER,			/* to the right */
	PMON_CELL_CODE,				/* statements and settings */
	PMON_CELL_HEADER			/* names its row */
} PmonHtmlCell;

typedef struct PmonHtmlColumn
{
	const char *heading;
	PmonHtmlCell kind;
} PmonHtmlColumn;

extern PmonHtml *pmon_begin_html(void);

extern void pmon_html_markup(PmonHtml *html, const char *markup);
extern void pmon_html_text(PmonHtml *html, const char *text);
extern void pmon_html_format(PmonHtml *html, const char *format,...) pg_attribute_printf(2, 3);

/* A whole element without attributes, with text in it */
extern void pmon_html_element(PmonHtml *html, const char *name, const char *text);

/*
 * A table in a container of its own, which scrolls where the table is wider than
 * the page; by the keyboard, too.  A cell's value may be NULL.
 */
extern void pmon_html_begin_table(PmonHtml *html, const char *caption,
								  const PmonHtmlColumn *columns, int ncolumns);
extern void pmon_html_begin_row(PmonHtml *html);
extern void pmon_html_cell(PmonHtml *html, PmonHtmlCell kind, const char *value);
extern void pmon_html_end_row(PmonHtml *html);
extern void pmon_html_end_table(PmonHtml *html);

#endif							/* PMON_REPORT_HTML_H */
