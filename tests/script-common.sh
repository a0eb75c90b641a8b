# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
#
# What the test scripts share; sourced by them. Results are counted as cmocka
# counts them, so that ./run-tests adds them all up.

set -u
LC_ALL=C
export LC_ALL
: "${top_srcdir:=$(cd "$(dirname "$0")/.." && pwd)}"
: "${top_builddir:=$PWD}"
: "${CC:=cc}"
: "${AWK:=awk}"

script_passed=0
script_failed=0
work=$(mktemp -d "${TMPDIR:-/tmp}/bobbin-test.XXXXXX") || exit 99
trap 'rm -rf "$work"' EXIT
trap 'exit 99' HUP INT TERM

pass()
{
	script_passed=$((script_passed + 1))
	echo "[       OK ] $*"
}

fail()
{
	script_failed=$((script_failed + 1))
	echo "[  FAILED  ] $*"
}

# not_run WHY: a part that cannot run here.
not_run()
{
	echo "NOT RUN: $*"
}

# check WHAT COMMAND...: the command must succeed; its output is shown if not.
check()
{
	check_what=$1
	shift
	if "$@" >"$work/check.out" 2>&1; then
		pass "$check_what"
	else
		fail "$check_what"
		echo "  $*"
		sed 's/^/  /' "$work/check.out" | head -40
	fi
}

# check_empty WHAT FILE: the file must be empty, it lists what is wrong.
check_empty()
{
	if [ -s "$2" ]; then
		fail "$1"
		sed 's/^/  /' "$2" | head -40
	else
		pass "$1"
	fi
}

# The last line of every script. 77 is automake's "skipped".
finish()
{
	echo "[  PASSED  ] $script_passed test(s)."
	if [ "$script_failed" != 0 ]; then
		echo " $script_failed FAILED TEST(S)"
		exit 1
	fi
	[ "$script_passed" != 0 ] || exit 77
	exit 0
}

# symbols_of HEADER...: what these declare, by its name in object files.
symbols_of()
{
	for header in "$@"; do
		$AWK -f "$top_srcdir/lib/symbols.awk" "$top_srcdir/$header"
	done | sed -e 's/^bobbin_//' -e 's/^/bobbin_/' | sort -u
}

# stage_headers DIR: the public headers as they are installed, in DIR/bobbin.
stage_headers()
{
	mkdir -p "$1/bobbin"
	for header in $STREAM_PUBLIC_HEADERS $SPOOL_PUBLIC_HEADERS; do
		cp "$top_srcdir/$header" "$1/bobbin/"
	done
	cp "$top_builddir/lib/bobbin-rename.h" "$1/bobbin/"
}

# stage_install DIR: make install below DIR. libtool takes the libraries away for
# a moment to relink them, so no other test may run at the same time: local.mk.
stage_install()
{
	(
		unset MAKEFLAGS MFLAGS MAKELEVEL
		${MAKE:-make} -s -C "$top_builddir" DESTDIR="$1" install
	) >"$work/install.out" 2>&1
}
