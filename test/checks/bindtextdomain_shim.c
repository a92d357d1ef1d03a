/*-------------------------------------------------------------------------
 *
 * bindtextdomain_shim.c
 *	  Lets Debian's server start with AddressSanitizer's library preloaded.
 *
 * A constructor of libgpg-error, which the server is linked with through its
 * LDAP library, calls bindtextdomain() before the sanitizer's allocator is
 * ready, and then waits for it for ever.  The server translates nothing in
 * our tests, so a function that does nothing will do.
 *
 *-------------------------------------------------------------------------
 */
extern char *bindtextdomain(const char *domain, const char *directory);

char *
bindtextdomain(const char *domain, const char *directory)
{
	(void) domain;

	return (char *) directory;
}
