#!/bin/sh
# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
#
# Every installed header stands alone, in C99 and in C++, beside no other file
# than the installed ones, and beside all the others; every private one stands alone
# behind config.h.

. "$(dirname "$0")/script-common.sh"

stage_headers "$work"

: "${CXX:=g++}"
have_cxx=yes
command -v "$CXX" >/dev/null || {
	have_cxx=no
	not_run "headers in C++: there is no $CXX (package g++)"
}

# compiles WHAT: $work/t.c, as strangers would compile it
compiles()
{
	cp "$work/t.c" "$work/t.cc"
	check "$1, C99" $CC -std=c99 -pedantic -Wall \
		-Wextra -Wundef -Wshadow -Wstrict-prototypes -Werror \
		-D_POSIX_C_SOURCE=200809L -fsyntax-only -I"$work" "$work/t.c"
	[ $have_cxx = no ] ||
		check "$1, C++11" $CXX -std=c++11 -pedantic \
			-Wall -Wextra -Wundef -Werror -fsyntax-only \
			-I"$work" "$work/t.cc"
}

echo 'extern int t;' >"$work/all.c"
for header in $STREAM_PUBLIC_HEADERS $SPOOL_PUBLIC_HEADERS; do
	name=$(basename "$header")
	echo "#include <bobbin/$name>" >>"$work/all.c"
	# twice: the include guard holds
	printf '#include <bobbin/%s>\n#include <bobbin/%s>\nextern int t;\n' \
		"$name" "$name" >"$work/t.c"
	compiles "<bobbin/$name> alone"
done
mv "$work/all.c" "$work/t.c"
compiles "all of them"

for header in $STREAM_PRIVATE_HEADERS $SPOOL_PRIVATE_HEADERS; do
	printf '#include "config.h"\n#include "%s"\nextern int t;\n' \
		"$top_srcdir/$header" >"$work/t.c"
	check "$header alone" $CC $TEST_CPPFLAGS -std=c11 -Wall -Wextra \
		-Werror -fsyntax-only "$work/t.c"
done

# Dovecot's own guards; with them its headers would silently vanish.
grep -lE '^#ifndef (OSTREAM_H|ISTREAM_H|BUFFER_H|IOLOOP_H)$' \
	"$work"/bobbin/*.h >"$work/guards"
check_empty "no include guard is one of Dovecot's" "$work/guards"
finish
