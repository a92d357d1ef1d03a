# A formatter for prove and pg_prove that also keeps count over several runs.
#
# Appends to the file named by PMON_TALLY one line "passed N", "failed N" and
# "bad FILE" for each test file.  Only a test that ran and was ok has passed:
# one that was skipped, is marked to do, or never came counts as failed, and a
# file that ends badly counts as one failed test if none of its tests tells so.
package PoolMonitor::Tally;

use strict;
use warnings;
use parent 'TAP::Formatter::Console';

sub summary
{
	my ($self, $aggregate, $interrupted) = @_;

	$self->SUPER::summary($aggregate, $interrupted)
	  if $interrupted || !$aggregate->all_passed;

	open(my $tally, '>>', $ENV{PMON_TALLY}) || die "PMON_TALLY: $!";
	foreach my $file ($aggregate->descriptions)
	{
		my ($parser) = $aggregate->parsers($file);
		my %skipped = map { $_ => 1 } $parser->skipped;
		my $passed = grep { !$skipped{$_} } $parser->actual_passed;
		my $planned = $parser->tests_planned || 0;
		my $run = $parser->tests_run || 0;
		my $failed = ($planned > $run ? $planned : $run) - $passed;

		if (defined $parser->skip_all)
		{
			$failed ||= 1;
			print "$file: skipped: " . $parser->skip_all . "\n";
		}
		elsif (%skipped)
		{
			print "$file: skipped, which counts as failed: "
			  . join(' ', sort { $a <=> $b } keys %skipped) . "\n";
		}
		print "$file: to do, which counts as failed: " . join(' ', $parser->todo) . "\n"
		  if $parser->todo;
		$failed ||= 1 if $parser->has_problems || $passed == 0;

		print $tally "passed $passed\nfailed $failed\n";
		print $tally "bad $file\n" if $failed;
	}
	close($tally);
	return;
}

1;
