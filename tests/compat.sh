#!/bin/sh
# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
#
# The programs of tests/compat/ are written for Dovecot's documented names. They
# are compiled for Bobbin, and what they print must be the committed transcript;
# and for libdovecot, and what differs must be what expected-differences lists,
# each in a section that doc/dovecot-differences.md has.

. "$(dirname "$0")/script-common.sh"

: "${DOVECOT_INCLUDE:=/usr/include/dovecot}"
: "${DOVECOT_LIBDIR:=/usr/lib/dovecot}"
compat=$top_srcdir/tests/compat
doc=$top_srcdir/doc/dovecot-differences.md

if [ "$(getconf PAGESIZE)" != 4096 ]; then
	not_run "the cases need pipes of 4096 bytes, and a page is larger here"
	finish
fi

# Each section says why, is in the document, and lists something.
$AWK '
	function done() {
		if (section != "" && !reason)
			print section ": no reason"
		if (section != "" && !lines)
			print section ": no difference"
	}
	/^section: / { done(); section = substr($0, 10); reason = lines = 0
		print section >sections; next }
	/^reason: ./ { reason = 1; next }
	/^[-+] / { lines++; if (section == "") print "not in a section: " $0; next }
	/^#/ || /^$/ || /^        / { next }
	{ print "what is this? " $0 }
	END { done() }
' sections="$work/sections" "$compat/expected-differences" >"$work/bad"
while read -r section; do
	grep -qxF "### $section" "$doc" ||
		echo "$section: not a section of doc/dovecot-differences.md"
done <"$work/sections" >>"$work/bad"
check_empty "every expected difference has a reason and a section" "$work/bad"

stage_headers "$work"
if [ -f "$top_builddir/.libs/libbobbin-stream.so" ]; then
	libs=$top_builddir/.libs/libbobbin-stream.so
else
	libs="$top_builddir/.libs/libbobbin-stream.a $STREAM_LIBS"
fi
check "the programs compile for Bobbin" \
	$CC ${TEST_CFLAGS-} -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror \
	-I"$work" -I"$compat" -o "$work/with-bobbin" "$compat"/*.c $libs \
	-lpthread
mkdir "$work/dir-bobbin" "$work/dir-dovecot"
LD_LIBRARY_PATH="$top_builddir/.libs" "$work/with-bobbin" \
	"$work/dir-bobbin" >"$work/all" 2>&1 || fail "they run with Bobbin"

# Without zstd its cases say that, and nothing else.
codecs=.
if ! "$BOBBIN" --version | grep -q '^libraries:.* zstd'; then
	not_run "the cases of zstd: it was left out of this build"
	codecs='^compression zstd'
	without=-v
fi
chosen()
{
	grep ${without-} -- "$codecs" "$1"
}
chosen "$work/all" >"$work/bobbin.txt"
chosen "$compat/expected-transcript" >"$work/expected.txt"
check "what they print with Bobbin is what it always was" \
	diff "$work/expected.txt" "$work/bobbin.txt"

if [ ! -f "$DOVECOT_INCLUDE/ostream.h" ] ||
	[ ! -e "$DOVECOT_LIBDIR/libdovecot.so" ]; then
	not_run "the comparison: libdovecot is not there (package dovecot-dev)"
	# half of the test is no test: skipped, unless something failed
	[ "$script_failed" != 0 ] || script_passed=0
	finish
fi
if ! dovecot_runs "$DOVECOT_LIBDIR/libdovecot.so"; then
	not_run "the comparison: libdovecot is of another C library or machine"
	[ "$script_failed" != 0 ] || script_passed=0
	finish
fi
version=$(sed -n 's/^#define DOVECOT_VERSION "\(.*\)"/\1/p' \
	"$DOVECOT_INCLUDE/config.h")
case $version in
2.3.*) ;;
*)
	not_run "the comparison: the differences listed are those from 2.3," \
		"and this is Dovecot $version"
	[ "$script_failed" != 0 ] || script_passed=0
	finish
	;;
esac
check "the programs compile for libdovecot $version" \
	$CC -w -std=gnu11 -D_GNU_SOURCE -DHAVE_CONFIG_H -DCOMPAT_DOVECOT \
	-I"$DOVECOT_INCLUDE" -I"$compat" -o "$work/with-dovecot" \
	"$compat"/*.c -L"$DOVECOT_LIBDIR" -ldovecot-compression -ldovecot
LD_LIBRARY_PATH="$DOVECOT_LIBDIR" "$work/with-dovecot" \
	"$work/dir-dovecot" >"$work/all" 2>&1 || fail "they run with libdovecot"
chosen "$work/all" >"$work/dovecot.txt"

diff "$work/dovecot.txt" "$work/bobbin.txt" |
	sed -n -e 's/^< /- /p' -e 's/^> /+ /p' | sort >"$work/differences"
grep '^[-+] ' "$compat/expected-differences" >"$work/listed"
sed 's/^[-+] //' "$work/listed" | grep ${without-} -n -- "$codecs" |
	sed 's/:.*/p/' >"$work/lines"
sed -n -f "$work/lines" "$work/listed" | sort >"$work/intended"
comm -23 "$work/differences" "$work/intended" >"$work/new"
comm -13 "$work/differences" "$work/intended" >"$work/stale"
check_empty "nothing differs from libdovecot but what is listed" "$work/new"
check_empty "everything listed still differs" "$work/stale"
finish
