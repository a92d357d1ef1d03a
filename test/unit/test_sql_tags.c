/* links: pure/sql_tags.c */
/*-------------------------------------------------------------------------
 *
 * test_sql_tags.c
 *	  Unit test of pure/sql_tags: comments as libraries write them, and not.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pure/sql_tags.h"
#include "tap.h"

#define TEN			"0123456789"

static PmonTagKeys keys;

static const struct
{
	const char *statement;
	const char *tags;
}			statements[] =

{
	/* sqlcommenter */
	{"SELECT 1 /*action='%2Fparam*d',controller='index,',traceparent='00-5bd66ef5095369c7b0d1f8f4bd33716a-c532cb4098ac3dd2-01'*/",
	"controller=index,\naction=/param*d\n"},
	{"SELECT 1/*route='%5Epolls%2F%24'*/;\n ", "route=^polls/$\n"},
	{"/*route='a'*/ SELECT 1", "route=a\n"},
	{"SELECT 1 /*route='it\\'s'*/", "route=it's\n"},
	{"SELECT 1 /*route='%41%4a%4A'*/", "route=AJJ\n"},
	{"SELECT 1 /* route = 'a' , action = 'b' */", "action=b\nroute=a\n"},
	{"SELECT 1 /*route='caf%C3%A9'*/", "route=caf\xC3\xA9\n"},
	/* marginalia */
	{"SELECT 1 /*application:Shop,controller:orders,action:show*/", "application=Shop\ncontroller=orders\naction=show\n"},
	{"/*application:Shop,job:Mail Job*/ SELECT 1", "application=Shop\njob=Mail Job\n"},
	{"SELECT 1 /*line:/app/models/order.rb:12:in `find',job:%41*/", "job=%41\n"},
	/* what begins wins over what ends, and the first of the same key */
	{"/*route='a'*/ SELECT 1 /*route='b'*/", "route=a\n"},
	{"/* hello */ SELECT 1 /*route='b'*/", "route=b\n"},
	{"SELECT 1 /*route='a',route='b'*/", "route=a\n"},
	/* not tags */
	{"", ""},
	{"/", ""},
	{"/*", ""},
	{"*/", ""},
	{"/*/", ""},
	{"/**/", ""},
	{"SELECT 1", ""},
	{"SELECT 1 /* route */", ""},
	{"SELECT 1 /*route*/", ""},
	{"SELECT 1 /*=*/", ""},
	{"SELECT 1 /*='a'*/", ""},
	{"SELECT 1 /*route=*/", ""},
	{"SELECT 1 /*route=''*/", ""},
	{"SELECT 1 /*:::,,,===*/", ""},
	{"SELECT 1 /*routes='a'*/", ""},
	{"SELECT 1 /*rout='a'*/", ""},
	{"SELECT 1 /*Route='a'*/", ""},
	{"SELECT '/*route=''a''*/' FROM t", ""},
	{"SELECT 1 -- route='a'", ""},
	{"SELECT 1 /*route='a'", ""},
	{"SELECT 1 /*x='route=,',action='b'*/", "action=b\n"},
	/* broken ones */
	{"SELECT 1 /*route='a*/", "route=a\n"},
	{"SELECT 1 /*route='a\\*/", "route=a\\\n"},
	{"SELECT 1 /*route='%4'*/", "route=%4\n"},
	{"SELECT 1 /*route='%zz%'*/", "route=%zz%\n"},
	{"SELECT 1 /*route='a%00b%0Ac'*/", "route=a?b?c\n"},
	{"SELECT 1 /*route='a' action='b',job='c'*/", "route=a\njob=c\n"},
	{"SELECT 1 /*/*route='a'*/", "route=a\n"},
	/* as long as a value may be, and longer; at a character */
	{"/*route=" TEN TEN TEN TEN TEN TEN "123*/", "route=" TEN TEN TEN TEN TEN TEN "123\n"},
	{"/*route=" TEN TEN TEN TEN TEN TEN "1234*/", "route=" TEN TEN TEN TEN TEN TEN "123\n"},
	{"/*route=" TEN TEN TEN TEN TEN TEN "12\xC3\xA9*/", "route=" TEN TEN TEN TEN TEN TEN "12\n"},
	{"/*route='" TEN TEN TEN TEN TEN TEN "12%C3%A9'*/", "route=" TEN TEN TEN TEN TEN TEN "12\n"},
	{"/*route=" TEN TEN TEN TEN TEN TEN "1\xC3\xA9*/", "route=" TEN TEN TEN TEN TEN TEN "1\xC3\xA9\n"},
	/* four of 63 bytes and their names are more than there is room for */
	{"/*job:" TEN TEN TEN TEN TEN TEN "123,task:" TEN TEN TEN TEN TEN TEN "123,route:" TEN TEN TEN TEN TEN TEN "123,action:" TEN TEN TEN TEN TEN TEN "123*/",
	"action=" TEN TEN TEN TEN TEN TEN "123\nroute=" TEN TEN TEN TEN TEN TEN "123\njob=" TEN TEN TEN TEN TEN TEN "123\n"},
};

static void
is_tags(const char *statement, int length, const char *expected, const char *label)
{
	/*
	 * a block of just that size, so that a sanitizer sees what is read beyond
	 * it
	 */
	char	   *copy = malloc(Max(length, 1));
	char		tags[PMON_TAGS_LEN];
	int			got;

	memcpy(copy, statement, length);
	memset(tags, 'x', sizeof(tags));
	got = pmon_statement_tags(&keys, copy, length, tags);
	if (!ok(got == strlen(tags) && strcmp(tags, expected) == 0, "%s", label))
		printf("# got %d: %s\n", got, tags);
	free(copy);
}

static void
test_long_ones(void)
{
	static char text[1024 * 1024 + 1];

	memset(text, ' ', sizeof(text));
	memcpy(text, "/*route='a'*/", 13);
	is_tags(text, 600, "route=a\n", "a comment at the start of a long statement");
	memset(text, 'x', sizeof(text));
	memcpy(text +700, "/*route='b'*/", 13);
	is_tags(text, 713, "route=b\n", "and at its end");
	memset(text +188, 'y', 512);
	memcpy(text +188, "/*route='", 9);
	memcpy(text +697, "'*/", 3);
	is_tags(text, 700, "route=yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\n", "one of 512 bytes is seen");
	text[		187] = '/',
	text[		188] = '*',
	text[		189] = 'r';

	is_tags(text, 700, "", "one of 513 is not");
	for (int i = 0; i + 1 < sizeof(text); i += 2)
		text[		i] = '/',
		text[		i + 1] = '*';

	is_tags(text, 1024 * 1024, "", "a megabyte of comments that begin");
	for (int i = 0; i + 1 < sizeof(text); i += 2)
		text[		i] = '*',
		text[		i + 1] = '/';

	is_tags(text, 1024 * 1024, "", "and of such that end");
}

static void
is_list(const char *list, int n, int expected_mistake)
{
	PmonTagKeys got;
	int			mistake = -1;
	bool		valid = pmon_parse_tag_keys(list, &got, &mistake);

	if (n >= 0)
		ok(valid && got.n == n, "\"%s\" is %d keys", list, n);
	else if (!ok(!valid && mistake == expected_mistake, "\"%s\" is refused", list))
		printf("# at %d\n", mistake);
}

int
main(void)
{
	int			mistake;

	ok(pmon_parse_tag_keys("application, controller, action, route, job, task", &keys, &mistake) && keys.n == 6 &&
	   strcmp(keys.names[3], "route") == 0, "the default list");
	for (int i = 0; i < lengthof(statements); i++)
		is_tags(statements[i].statement, strlen(statements[i].statement), statements[i].tags,
				statements[i].statement);
	test_long_ones();

	is_list("", 0, 0);
	is_list(" \t", 0, 0);
	is_list("a", 1, 0);
	is_list(" a , b.c-d_E9 ", 2, 0);
	is_list("a,", -1, 2);
	is_list(",a", -1, 0);
	is_list("a b", -1, 2);
	is_list("a,a", -1, 2);
	is_list("a,\xC3\xA9", -1, 2);
	is_list("a='b'", -1, 1);
	is_list(TEN TEN TEN "1", 1, 0);
	is_list("x, " TEN TEN TEN "12", -1, 3);
	is_list("a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p", 16, 0);
	is_list("a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", -1, 32);

	keys.n = 0;
	is_tags("/*route='a'*/", 13, "", "without keys there are no tags");
	return tap_done();
}
