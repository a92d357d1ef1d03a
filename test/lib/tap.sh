# shellcheck shell=bash
# tap.sh: the Test Anything Protocol for the tests in shell.
n=0

# check LABEL COMMAND...: one test; the command's output is shown if it fails
check()
{
	local label=$1 output

	shift
	n=$((n + 1))
	if output=$("$@" 2>&1); then
		echo "ok $n - $label"
	else
		echo "not ok $n - $label"
		printf '%s\n' "$output" | tail -n 200 | sed 's/^/# /' >&2
	fi
}

# part LABEL COMMAND...: prints the tests that the command prints, and whether it
# came to its end
part()
{
	local label=$1

	shift
	if "$@" 2>"$work/errors.$BASHPID"; then
		echo "ok - $label"
	else
		sed 's/^/# /' "$work/errors.$BASHPID"
		echo "not ok - $label"
	fi
}
