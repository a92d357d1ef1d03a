/*-------------------------------------------------------------------------
 *
 * report_html.c
 *	  Text and tables as HTML.
 *
 * See report_html.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "catalog/namespace.h"
#include "mb/pg_wchar.h"

#include "query/report_html.h"

#define REPLACEMENT		"&#65533;"
#define ABSENT			"&#8211;"

/* The longest character, converted, with room for the conversion's caution */
#define CONVERTED_BYTES	64

PmonHtml *
pmon_begin_html(void)
{
	PmonHtml   *html = palloc0(sizeof(PmonHtml));

	initStringInfo(&html->out);
	html->encoding = GetDatabaseEncoding();
	if (html->encoding == PG_SQL_ASCII)
		html->encoding = PG_UTF8;
	if (html->encoding != PG_UTF8)
		html->to_utf8 = FindDefaultConversionProc(html->encoding, PG_UTF8);
	return html;
}

void
pmon_html_markup(PmonHtml *html, const char *markup)
{
	appendStringInfoString(&html->out, markup);
}

/* Characters that show nothing, but change what is around them */
static bool
is_control(pg_wchar c)
{
	return c < 0xA0 ||			/* C1; C0 is dealt with before */
		c == 0x61C || c == 0x200E || c == 0x200F || /* marks of direction */
		(c >= 0x2028 && c <= 0x202E) || /* separators, overrides */
		(c >= 0x2060 && c <= 0x206F) || /* isolates, invisible operators */
		c == 0xFEFF ||
		(c >= 0xD800 && c <= 0xDFFF) || /* surrogates */
		(c >= 0xFDD0 && c <= 0xFDEF) || (c & 0xFFFE) == 0xFFFE ||	/* no characters */
		(c >= 0xE0000 && c <= 0xE0FFF) ||	/* invisible tags */
		c > 0x10FFFF;
}

static void
put_code_point(PmonHtml *html, pg_wchar c)
{
	if (is_control(c))
		pmon_html_markup(html, REPLACEMENT);
	else
		appendStringInfo(&html->out, "&#%u;", (unsigned) c);
}

/* One character that is not ASCII; returns how many bytes it has. */
static int
put_wide_character(PmonHtml *html, const char *text, int length)
{
	int			bytes = pg_encoding_verifymbchar(html->encoding, text, length);
	char		converted[CONVERTED_BYTES] = {0};
	const char *c = converted;

	if (bytes <= 0)
	{
		appendStringInfoChar(&html->out, '?');
		return 1;
	}
	if (html->encoding == PG_UTF8)
		memcpy(converted, text, bytes);
	else if (!OidIsValid(html->to_utf8) ||
			 pg_do_encoding_conversion_buf(html->to_utf8, html->encoding, PG_UTF8,
										   (unsigned char *) unconstify(char *, text), bytes,
										   (unsigned char *) converted,
										   sizeof(converted), true) != bytes)
		strcpy(converted, "?");

	/* some have two code points in Unicode */
	for (; *c != '\0'; c += pg_utf_mblen((const unsigned char *) c))
	{
		if (IS_HIGHBIT_SET(*c))
			put_code_point(html, utf8_to_unicode((const unsigned char *) c));
		else
			appendStringInfoChar(&html->out, '?');
	}
	return bytes;
}

static void
put_ascii(PmonHtml *html, unsigned char c)
{
	static const char *const escapes[128] = {
		['&'] = "&amp;",['<'] = "&lt;",['>'] = "&gt;",['"'] = "&#34;",['\''] = "&#39;",
		['\n'] = " ",['\r'] = " ",['\t'] = " "
	};

	if (escapes[c] != NULL)
		pmon_html_markup(html, escapes[c]);
	else if (c < ' ' || c == 0x7F)
		pmon_html_markup(html, REPLACEMENT);
	else
		appendStringInfoChar(&html->out, c);
}

void
pmon_html_text(PmonHtml *html, const char *text)
{
	int			length = strlen(text);

	for (int i = 0; i < length;)
	{
		if (IS_HIGHBIT_SET(text[i]))
			i += put_wide_character(html, text +i, length - i);
		else
			put_ascii(html, text[i++]);
	}
}

void
pmon_html_format(PmonHtml *html, const char *format,...)
{
	StringInfoData text;

	initStringInfo(&text);
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, format);
		needed = appendStringInfoVA(&text, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&text, needed);
	}
	pmon_html_text(html, text.data);
	pfree(text.data);
}

void
pmon_html_element(PmonHtml *html, const char *name, const char *text)
{
	appendStringInfo(&html->out, "<%s>", name);
	pmon_html_text(html, text);
	appendStringInfo(&html->out, "</%s>\n", name);
}

void
pmon_html_begin_table(PmonHtml *html, const char *caption,
					  const PmonHtmlColumn *columns, int ncolumns)
{
	int			id = ++html->ntables;

	appendStringInfo(&html->out,
					 "<div class=\"scroll\" role=\"group\" tabindex=\"0\" aria-labelledby=\"table-%d\">\n"
					 "<table>\n<caption id=\"table-%d\">", id, id);
	pmon_html_text(html, caption);
	pmon_html_markup(html, "</caption>\n<thead><tr>");
	for (int i = 0; i < ncolumns; i++)
	{
		pmon_html_markup(html, columns[i].kind == PMON_CELL_NUMBER ?
						 "<th scope=\"col\" class=\"n\">" : "<th scope=\"col\">");
		pmon_html_text(html, columns[i].heading);
		pmon_html_markup(html, "</th>");
	}
	pmon_html_markup(html, "</tr></thead>\n<tbody>\n");
}

void
pmon_html_begin_row(PmonHtml *html)
{
	pmon_html_markup(html, "<tr>");
}

void
pmon_html_cell(PmonHtml *html, PmonHtmlCell kind, const char *value)
{
	static const char *const opening[] = {
		"<td>", "<td class=\"n\">", "<td class=\"code\"><code>", "<th scope=\"row\">"
	};
	static const char *const closing[] = {"</td>", "</td>", "</code></td>", "</th>"};

	/* an empty name is a name */
	pmon_html_markup(html, opening[kind]);
	if (value == NULL)
		pmon_html_markup(html, ABSENT);
	else
		pmon_html_text(html, value[0] != '\0' ? value : "(empty)");
	pmon_html_markup(html, closing[kind]);
}

void
pmon_html_end_row(PmonHtml *html)
{
	pmon_html_markup(html, "</tr>\n");
}

void
pmon_html_end_table(PmonHtml *html)
{
	pmon_html_markup(html, "</tbody>\n</table>\n</div>\n");
}
