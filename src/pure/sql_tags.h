/*-------------------------------------------------------------------------
 *
 * sql_tags.h
 *	  What a statement's comment says of the code that it comes from.
 *
 * Two forms are known, and both may stand before or behind a statement:
 *
 *	sqlcommenter:	controller='orders',route='%2Forders%2F%3Aid'
 *	marginalia:		application:shop,controller:orders,action:show
 *
 * (google.github.io/sqlcommenter/spec; ActiveRecord's query_log_tags writes either.)
 * Keys that were not asked for are passed over, so that those with ever new
 * values, as traceparent, make nothing grow.  What is found is the client's claim.
 *
 * Pure functions; nothing here allocates, locks or raises an error, and each looks
 * at every byte a bounded number of times.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_SQL_TAGS_H
#define PMON_SQL_TAGS_H

/* How many keys can be asked for, and room for one with its zero byte */
#define PMON_MAX_TAG_KEYS		16
#define PMON_TAG_KEY_LEN		32

/* Room for a value, and for all tags of a statement, with their zero byte */
#define PMON_TAG_VALUE_LEN		64
#define PMON_TAGS_LEN			256

/* As much of a statement's start, and of its end, is looked at. */
#define PMON_TAGS_LOOK			512

typedef struct PmonTagKeys
{
	int			n;
	char		names[PMON_MAX_TAG_KEYS][PMON_TAG_KEY_LEN];
} PmonTagKeys;

/*
 * Read a list of keys, separated by commas; blanks around them do not count, and
 * there may be none.  Returns false, and the place of the mistake as an offset,
 * where a key is too long, is given twice, is one too many, or has anything but
 * letters, digits, "_", "-" and ".".
 */
extern bool pmon_parse_tag_keys(const char *list, PmonTagKeys *keys, int *mistake);

/*
 * The tags in a comment that the statement begins with, or ends with, of which
 * length bytes are given: its first ones, or its last ones.  Fills in tags, of
 * PMON_TAGS_LEN bytes: a line "key=value\n" for each, in the order of the keys.
 * Values are decoded, cut at a character, and without control characters; a tag
 * for which there is no room is left out.  Returns the length, 0 for none.
 */
extern int	pmon_leading_tags(const PmonTagKeys *keys, const char *statement,
							  int length, char *tags);
extern int	pmon_trailing_tags(const PmonTagKeys *keys, const char *statement,
							   int length, char *tags);

/* The same of a whole statement, whichever comment has any */
extern int	pmon_statement_tags(const PmonTagKeys *keys, const char *statement,
								int length, char *tags);

#endif							/* PMON_SQL_TAGS_H */
