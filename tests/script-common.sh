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
trap 'rm -rf "$work" "$work.bobbin"' EXIT
trap 'exit 99' HUP INT TERM

: "${BOBBIN:=$top_builddir/tools/bobbin}"
# libtool's script in front of a program that is not installed takes longer than the
# program itself; the scripts start it a thousand times
if [ -x "$top_builddir/tools/.libs/bobbin" ]; then
	cat >"$work.bobbin" <<END
#!/bin/sh
LD_LIBRARY_PATH='$top_builddir/.libs' exec '$top_builddir/tools/.libs/bobbin' "\$@"
END
	chmod 755 "$work.bobbin"
	BOBBIN=$work.bobbin
fi

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

# fails CODE WORDS COMMAND...: exit status CODE, and a message with these words; what it
# said is in fails.out and fails.err.
fails()
{
	code=$1
	words=$2
	shift 2
	"$@" >fails.out 2>fails.err </dev/null
	got=$?
	if [ "$got" = "$code" ] && grep -q -e "$words" fails.err; then
		pass "$* ends with $code: $words"
	else
		fail "$* ends with $code: $words"
		echo "  got $got:"
		sed 's/^/  /' fails.err | head -5
	fi
}

# sanitized: whether the program was built with a sanitizer.
sanitized()
{
	nm "$top_builddir/tools/.libs/bobbin" 2>/dev/null | grep -q __.san_ ||
		nm "$top_builddir/tools/bobbin" 2>/dev/null | grep -q __.san_
}

# has KIND: whether this build has it.
has()
{
	"$BOBBIN" --version | grep -q "^streams:.* $1"
}

# zstd, or gzip where this build lacks it.
zstd_or_gzip()
{
	if has zstd; then echo zstd; else echo gzip; fi
}

# name_of PID: what this process runs.
name_of()
{
	sed -n 's/^Name:[^[:graph:]]*//p' "/proc/$1/status" 2>/dev/null
}

# catches PID: waits until this process handles SIGTERM; a child of this shell that is no
# other program yet handles it as the shell does, or not at all.
catches()
{
	catches_tries=0
	while [ $catches_tries -lt 1000 ]; do
		# the name first: the shell's own mask says nothing of the program
		if [ "$(name_of "$1")" != "$(name_of $$)" ]; then
			catches_mask=$(sed -n 's/^SigCgt:[^0-9a-f]*//p' \
				"/proc/$1/status" 2>/dev/null)
			[ $((0x${catches_mask:-0} & 0x4000)) = 0 ] || return 0
		fi
		catches_tries=$((catches_tries + 1))
		sleep 0.02
	done
	return 1
}

# ended PID: its exit code; one that does not end is killed.
ended()
{
	ended_tries=0
	while grep -q '^State:.[^Z]' "/proc/$1/status" 2>/dev/null &&
		[ $ended_tries -lt 1000 ]; do
		ended_tries=$((ended_tries + 1))
		sleep 0.02
	done
	kill -9 "$1" 2>/dev/null
	wait "$1"
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

# dovecot_runs LIBRARY: whether a program of this compiler runs with libdovecot, which may be of
# another C library or machine.
dovecot_runs()
{
	echo 'int main(void) { return 0; }' >"$work/runs.c"
	$CC ${TEST_CFLAGS-} -Wl,--no-as-needed -o "$work/runs" "$work/runs.c" \
		"$1" >"$work/runs.out" 2>&1 &&
		LD_LIBRARY_PATH="$DOVECOT_LIBDIR" "$work/runs" >"$work/runs.out" 2>&1
}

# stage_install DIR [TARGET]: make install (or another one) below DIR. libtool takes the libraries away for
# a moment to relink them, so no other test may run at the same time: local.mk.
stage_install()
{
	(
		unset MAKEFLAGS MFLAGS MAKELEVEL
		${MAKE:-make} -s -C "$top_builddir" DESTDIR="$1" "${2:-install}"
	) >"$work/install.out" 2>&1
}

# outside_stage: installs below $stage, for programs that know nothing but
# pkg-config: build_outside builds them. False where that cannot be.
outside_stage()
{
	: "${PKG_CONFIG:=pkg-config}"
	command -v "$PKG_CONFIG" >/dev/null || {
		not_run "there is no pkg-config"
		return 1
	}
	stage=$work/stage
	if ! stage_install "$stage"; then
		fail "make install DESTDIR=..."
		sed 's/^/  /' "$work/install.out" | tail -20
		return 1
	fi
	pass "make install DESTDIR=..."
	PKG_CONFIG_PATH=$(dirname "$(find "$stage" -name bobbin-stream.pc)")
	PKG_CONFIG_SYSROOT_DIR=
	PKG_CONFIG_ALLOW_SYSTEM_LIBS=
	export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR PKG_CONFIG_ALLOW_SYSTEM_LIBS
	libdir=$($PKG_CONFIG --variable=libdir bobbin-stream)
	prefix_re=$($PKG_CONFIG --variable=prefix bobbin-stream)
}

# The staged paths; those of the system's own libraries stay as they are.
outside_flags()
{
	$PKG_CONFIG "$@" |
		sed "s,\\(-[IL]\\)\\($prefix_re/\\),\\1$stage\\2,g"
}

# build_outside SOURCE OUTPUT PACKAGE [OPTION-OF-PKG-CONFIG [OPTION-OF-CC...]]
build_outside()
{
	outside_source=$1 outside_output=$2 outside_package=$3
	outside_option=${4-}
	shift "$(($# < 4 ? $# : 4))"
	$CC ${TEST_CFLAGS-} "$@" -o "$outside_output" "$outside_source" \
		$(outside_flags --cflags $outside_option "$outside_package") \
		$(outside_flags --libs $outside_option "$outside_package")
}

# c_blocks FILE [N]: the text between ```c and ``` in a document, all of them with
# an empty line between two, or the N-th.
c_blocks()
{
	$AWK -v only="${2:-0}" '
		/^```$/ { inside = 0 }
		inside && (!only || n == only) { print }
		/^```c$/ {
			inside = 1
			if (n++ > 0 && !only)
				print ""
		}' "$1"
}

# is_part FILE1 FILE2: FILE1 stands in FILE2 as it is, and is not empty.
is_part()
{
	$AWK 'FNR == NR { part = part $0 "\n"; next }
		{ all = all $0 "\n" }
		END { exit !(part != "" && index(all, part)) }' "$1" "$2"
}
