#!/bin/sh
# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
#
# make conformance: builds the peers' programs and writes doc/conformance.md. What is
# missing is told with the name of its package, and is a failure.

. "$(dirname "$0")/../script-common.sh"

here=$top_srcdir/tests/conformance
: "${DOVECOT_INCLUDE:=/usr/include/dovecot}"
: "${DOVECOT_LIBDIR:=/usr/lib/dovecot}"
: "${PKG_CONFIG:=pkg-config}"
missing=
need()
{
	echo "conformance: $1 is not there: apt-get install $2" >&2
	missing=yes
}
for module in gmime-3.0:libgmime-3.0-dev gio-unix-2.0:libglib2.0-dev \
	libarchive:libarchive-dev; do
	$PKG_CONFIG --exists "${module%%:*}" || need "${module%%:*}" "${module##*:}"
done
[ -f "$DOVECOT_INCLUDE/compression.h" ] || need libdovecot dovecot-dev
for tool in gzip bzip2 xz:xz-utils zstd lz4; do
	command -v "${tool%%:*}" >/dev/null || need "${tool%%:*}" "${tool##*:}"
done
[ -z "$missing" ] || exit 1

# build PEER SOURCE FLAG...
build()
{
	peer=$1
	source=$2
	shift 2
	$CC -O1 -D_GNU_SOURCE -I"$here" -o "$work/peer-$peer" "$here/$source" "$@" || exit 1
}
stage_headers "$work"
if [ -f "$top_builddir/.libs/libbobbin-stream.so" ]; then
	build bobbin peer-streams.c -I"$work" -L"$top_builddir/.libs" \
		-Wl,-rpath,"$top_builddir/.libs" -lbobbin-stream
else
	build bobbin peer-streams.c -I"$work" \
		"$top_builddir/.libs/libbobbin-stream.a" $STREAM_LIBS
fi
build libdovecot peer-streams.c -w -std=gnu11 -DHAVE_CONFIG_H -DPEER_DOVECOT \
	-I"$DOVECOT_INCLUDE" -L"$DOVECOT_LIBDIR" -Wl,-rpath,"$DOVECOT_LIBDIR" \
	-ldovecot-compression -ldovecot
build gmime peer-gmime.c $($PKG_CONFIG --cflags --libs gmime-3.0)
build gio peer-gio.c $($PKG_CONFIG --cflags --libs gio-unix-2.0)
build libarchive peer-libarchive.c $($PKG_CONFIG --cflags --libs libarchive)

{
	echo "The libraries: $("$BOBBIN" --version | head -1)," \
		"libdovecot $(sed -n 's/^#define DOVECOT_VERSION "\([^ "]*\).*/\1/p' \
			"$DOVECOT_INCLUDE/config.h")," \
		"GMime $($PKG_CONFIG --modversion gmime-3.0)," \
		"GIO $($PKG_CONFIG --modversion gio-2.0)," \
		"libarchive $($PKG_CONFIG --modversion libarchive)."
} >"$work/versions"

# The call sequences, which have a test of their own.
"$top_srcdir/tests/compat.sh" >"$work/compat.out" 2>&1 || {
	cat "$work/compat.out" >&2
	exit 1
}
{
	echo "## The same calls"
	echo
	# a line is "the case's name: what it says"
	echo "$(sed 's/: .*//' "$top_srcdir/tests/compat/expected-transcript" |
		sort -u | wc -l) sequences of calls (\`tests/compat/\`) run over both" \
		"Bobbin and libdovecot. What they print is the same but for these" \
		"differences, each of which \`doc/dovecot-differences.md\` explains:"
	echo
	echo "| difference | lines of the transcripts |"
	echo "|---|---|"
	$AWK '/^section: / { if (name) print "| " name " | " n " |"
			name = substr($0, 10); n = 0 }
		/^[-+] / { n++ }
		END { print "| " name " | " n " |" }' \
		"$top_srcdir/tests/compat/expected-differences"
} >"$work/compat.md"

mkdir -p "$top_builddir/doc"
"$here/conformance.py" --peers "$work" --versions "$work/versions" \
	--compat "$work/compat.md" --out "${CONFORMANCE_OUT:-$top_srcdir/doc/conformance.md}"
