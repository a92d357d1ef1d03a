/*-------------------------------------------------------------------------
 *
 * sql_tags.c
 *	  What a statement's comment says of the code that it comes from.
 *
 * See sql_tags.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pure/sql_tags.h"

/* A part of a text */
typedef struct Span
{
	const char *at;
	const char *end;
} Span;

/* The values that were found, by the place of their key; empty: none */
typedef char Values[PMON_MAX_TAG_KEYS][PMON_TAG_VALUE_LEN];

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static bool
is_key_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		(c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

/* The place of a key in the list, or -1 */
static int
find_key(const PmonTagKeys *keys, const char *name, int length)
{
	for (int i = 0; i < keys->n; i++)
	{
		if (strncmp(keys->names[i], name, length) == 0 && keys->names[i][length] == '\0')
			return i;
	}
	return -1;
}

bool
pmon_parse_tag_keys(const char *list, PmonTagKeys *keys, int *mistake)
{
	const char *p = list;

	memset(keys, 0, sizeof(*keys));
	for (;;)
	{
		const char *name;
		int			length;

		while (is_blank(*p))
			p++;
		if (*p == '\0' && keys->n == 0)
			return true;

		name = p;
		while (is_key_char(*p))
			p++;
		length = (int) Min(p - name, PMON_TAG_KEY_LEN);
		*mistake = (int) ((length == 0 ? p : name) - list);
		if (length == 0 || length == PMON_TAG_KEY_LEN ||
			keys->n == PMON_MAX_TAG_KEYS || find_key(keys, name, length) >= 0)
			return false;
		memcpy(keys->names[keys->n++], name, length);

		while (is_blank(*p))
			p++;
		if (*p == '\0')
			return true;
		*mistake = (int) (p - list);
		if (*p++ != ',')
			return false;
	}
}

/*
 * Values
 */

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Take one byte of a value, which may be written with a percent sign. */
static char
take_byte(Span *value, bool decode)
{
	char		c = *value->at++;

	if (decode && c == '%' && value->end - value->at >= 2 &&
		hex_digit(value->at[0]) >= 0 && hex_digit(value->at[1]) >= 0)
	{
		c = (char) (hex_digit(value->at[0]) << 4 | hex_digit(value->at[1]));
		value->at += 2;
	}
	else if (decode && c == '\\' && value->at < value->end)
		c = *value->at++;

	/* what would end a line, or a terminal's patience */
	return (unsigned char) c < ' ' || c == 0x7F ? '?' : c;
}

/* Write a value down, cut at a character where it is too long. */
static void
copy_value(Span value, bool decode, char *copy)
{
	int			length = 0;

	while (value.at < value.end && length < PMON_TAG_VALUE_LEN - 1)
		copy[length++] = take_byte(&value, decode);
	if (value.at < value.end && (take_byte(&value, decode) & 0xC0) == 0x80)
	{
		while (length > 0 && (copy[length - 1] & 0xC0) == 0x80)
			length--;
		length -= length > 0;
	}
	copy[length] = '\0';
}

/* The value in quotes at p, without them; p goes behind it */
static Span
take_quoted(Span *rest)
{
	Span		value = {rest->at + 1, rest->end};
	const char *p = value.at;

	while (p < rest->end && *p != '\'')
		p += *p == '\\' && p + 1 < rest->end ? 2 : 1;
	value.end = p;
	rest->at = p < rest->end ? p + 1 : p;
	return value;
}

/* The value up to a comma, without blanks around it */
static Span
take_plain(Span *rest)
{
	Span		value = *rest;

	while (rest->at < rest->end && *rest->at != ',')
		rest->at++;
	value.end = rest->at;
	while (value.at < value.end && is_blank(*value.at))
		value.at++;
	while (value.at < value.end && is_blank(value.end[-1]))
		value.end--;
	return value;
}

static void
skip_to(Span *rest, char c)
{
	while (rest->at < rest->end && *rest->at != c)
		rest->at++;
}

/* Read one pair of the comment, and what stands behind it up to a comma. */
static void
take_pair(const PmonTagKeys *keys, Span *rest, Values values)
{
	const char *name = rest->at;
	int			key;
	bool		quoted;
	Span		value;

	while (rest->at < rest->end && is_key_char(*rest->at))
		rest->at++;
	key = find_key(keys, name, (int) Min(rest->at - name, PMON_TAG_KEY_LEN - 1));
	if (rest->at - name >= PMON_TAG_KEY_LEN)
		key = -1;
	while (rest->at < rest->end && is_blank(*rest->at))
		rest->at++;
	if (rest->at == name || rest->at == rest->end ||
		(*rest->at != '=' && *rest->at != ':'))
	{
		skip_to(rest, ',');
		return;
	}

	rest->at++;
	while (rest->at < rest->end && is_blank(*rest->at))
		rest->at++;
	quoted = rest->at < rest->end && *rest->at == '\'';
	value = quoted ? take_quoted(rest) : take_plain(rest);
	skip_to(rest, ',');
	if (key >= 0 && values[key][0] == '\0')
		copy_value(value, quoted, values[key]);
}

/* The tags in what stands between the marks of a comment */
static int
read_comment(const PmonTagKeys *keys, Span comment, char *tags)
{
	Values		values = {{0}};
	int			length = 0;

	while (comment.at < comment.end)
	{
		if (is_blank(*comment.at) || *comment.at == ',')
			comment.at++;
		else
			take_pair(keys, &comment, values);
	}

	for (int i = 0; i < keys->n; i++)
	{
		int			more = (int) (strlen(keys->names[i]) + strlen(values[i]) + 2);

		if (values[i][0] != '\0' && length + more < PMON_TAGS_LEN)
			length += sprintf(tags + length, "%s=%s\n", keys->names[i], values[i]);
	}
	tags[length] = '\0';
	return length;
}

/*
 * Comments
 */

int
pmon_leading_tags(const PmonTagKeys *keys, const char *statement, int length,
				  char *tags)
{
	const char *end = statement + length;
	Span		comment;

	tags[0] = '\0';
	while (statement < end && is_blank(*statement))
		statement++;
	if (keys->n == 0 || end - statement < 4 || memcmp(statement, "/*", 2) != 0)
		return 0;
	comment.at = statement + 2;
	for (comment.end = comment.at; comment.end + 1 < end; comment.end++)
	{
		if (comment.end[0] == '*' && comment.end[1] == '/')
			return read_comment(keys, comment, tags);
	}
	return 0;
}

int
pmon_trailing_tags(const PmonTagKeys *keys, const char *statement, int length,
				   char *tags)
{
	const char *end = statement + length;
	Span		comment;

	tags[0] = '\0';
	while (end > statement && (is_blank(end[-1]) || end[-1] == ';'))
		end--;
	if (keys->n == 0 || end - statement < 4 || memcmp(end - 2, "*/", 2) != 0)
		return 0;
	comment.end = end - 2;
	for (comment.at = comment.end; comment.at - 2 >= statement; comment.at--)
	{
		if (comment.at[-2] == '/' && comment.at[-1] == '*')
			return read_comment(keys, comment, tags);
	}
	return 0;
}

int
pmon_statement_tags(const PmonTagKeys *keys, const char *statement, int length,
					char *tags)
{
	int			look = Min(length, PMON_TAGS_LOOK);
	int			found = pmon_leading_tags(keys, statement, look, tags);

	return found > 0 ? found :
		pmon_trailing_tags(keys, statement + length - look, look, tags);
}
