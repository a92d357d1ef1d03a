# PoolMonitor::Catalog: what the catalog has of the extension, as text to
# compare, for any PostgreSQL from 14 on.
package PoolMonitor::Catalog;

use strict;
use warnings;

# Privileges as sorted words; of an object with the default ones, these
sub _privileges
{
	my ($acl) = @_;

	return "(SELECT string_agg(format('%s:%s%s', CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END,"
	  . " privilege_type, CASE WHEN is_grantable THEN '*' END), ' ' ORDER BY grantee::regrole::text COLLATE \"C\", privilege_type)"
	  . " FROM aclexplode($acl))";
}

# describe(NODE, DBNAME, [EXTENSION], [PRIVILEGES]): one line for each thing
# that is said about the extension's objects.  PRIVILEGES => 0 leaves out what
# has been granted, and so what an administrator may have changed.
sub describe
{
	my ($node, $dbname, $extension, %opts) = @_;
	my $relation_privileges = _privileges("coalesce(c.relacl, acldefault('r', c.relowner))");
	my $function_privileges = _privileges("coalesce(p.proacl, acldefault('f', p.proowner))");
	my $initial_privileges = _privileges('i.initprivs');
	my $privileges = defined $opts{privileges} && !$opts{privileges} ? 'false' : 'true';

	$extension ||= 'pool_monitor';
	return $node->safe_psql($dbname, <<"END");
SELECT translate(line, E'\\n\\t', '  ') FROM (
WITH extension AS (SELECT * FROM pg_extension WHERE extname = '$extension'),
member AS (
	SELECT d.classid, d.objid, pg_describe_object(d.classid, d.objid, 0) AS name
	FROM pg_depend d
	WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = (SELECT oid FROM extension) AND d.deptype = 'e')
SELECT format('extension: relocatable %s, in %s, configuration %s, %s', extrelocatable, extnamespace::regnamespace,
	extconfig, obj_description(oid, 'pg_extension')) AS line FROM extension
UNION ALL
SELECT format('%s: %s', name, obj_description(objid, classid::regclass::text::name)) FROM member
UNION ALL
SELECT format('%s is %s', name, pg_get_functiondef(objid)) FROM member WHERE classid = 'pg_proc'::regclass
UNION ALL
SELECT format('%s (%s): cost %s, rows %s', name, proowner::regrole, procost, prorows)
	FROM member JOIN pg_proc p ON p.oid = objid WHERE classid = 'pg_proc'::regclass
UNION ALL
SELECT format('%s (%s, %s): %s is %s', name, relkind, relowner::regrole, reloptions, pg_get_viewdef(c.oid))
	FROM member JOIN pg_class c ON c.oid = objid WHERE classid = 'pg_class'::regclass
UNION ALL
SELECT format('%s: column %s is %s %s: %s', name, (row_number() OVER (PARTITION BY attrelid ORDER BY attnum)), attname,
	format_type(atttypid, atttypmod), col_description(attrelid, attnum))
	FROM member JOIN pg_attribute ON attrelid = objid AND attnum > 0 AND NOT attisdropped
	WHERE classid = 'pg_class'::regclass
UNION ALL
SELECT format('%s: granted at first: %s', name, $initial_privileges)
	FROM member JOIN pg_init_privs i ON i.classoid = classid AND i.objoid = objid AND i.objsubid = 0
UNION ALL
SELECT format('%s: granted: %s', name, $relation_privileges)
	FROM member JOIN pg_class c ON c.oid = objid WHERE classid = 'pg_class'::regclass AND $privileges
UNION ALL
SELECT format('%s: granted on %s: %s', name, attname, attacl)
	FROM member JOIN pg_attribute ON attrelid = objid AND attacl IS NOT NULL
	WHERE classid = 'pg_class'::regclass AND $privileges
UNION ALL
SELECT format('%s: granted: %s', name, $function_privileges)
	FROM member JOIN pg_proc p ON p.oid = objid WHERE classid = 'pg_proc'::regclass AND $privileges
) AS lines ORDER BY line COLLATE "C"
END
}

# differences(EXPECTED, GOT): the lines of either that the other has not
sub differences
{
	my ($expected, $got) = @_;
	my %expected = map { $_ => 1 } split /\n/, $expected;
	my %got = map { $_ => 1 } split /\n/, $got;

	return join "\n", (map { "- $_" } grep { !$got{$_} } sort keys %expected),
	  (map { "+ $_" } grep { !$expected{$_} } sort keys %got);
}

1;
