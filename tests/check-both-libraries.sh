#!/bin/sh
# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
#
# One process that uses libdovecot's streams and Bobbin's, whose functions have
# the same names in C: each source includes one library's headers, both are
# linked. A source that includes both is told so by the compiler.

. "$(dirname "$0")/script-common.sh"

: "${DOVECOT_INCLUDE:=/usr/include/dovecot}"
: "${DOVECOT_LIBDIR:=/usr/lib/dovecot}"
if [ ! -f "$DOVECOT_INCLUDE/ostream.h" ]; then
	not_run "Dovecot's headers are not there (package dovecot-dev)"
	finish
fi
stage_headers "$work"

for first in dovecot bobbin; do
	{
		printf '#include "config.h"\n#include "lib.h"\n'
		case $first in
		dovecot)
			printf '#include "ostream.h"\n#include <bobbin/ostream.h>\n'
			;;
		bobbin)
			printf '#include <bobbin/ostream.h>\n#include "ostream.h"\n'
			;;
		esac
	} >"$work/clash.c"
	if $CC -DHAVE_CONFIG_H -I"$DOVECOT_INCLUDE" -I"$work" -fsyntax-only \
		"$work/clash.c" >"$work/clash.out" 2>&1; then
		fail "both headers in one source, $first's first, are refused"
	elif [ $first = bobbin ]; then
		# here it is Dovecot's header that comes too late to be
		# stopped by us; the compiler still refuses its declarations
		pass "both headers in one source, Bobbin's first, are refused"
	else
		check "both headers in one source: the error says what to do" \
			grep -q "cannot be used in one source file" \
			"$work/clash.out"
	fi
done

lib=$(ls "$DOVECOT_LIBDIR"/libdovecot.so "$DOVECOT_LIBDIR"/libdovecot.so.0 \
	2>/dev/null | head -n 1)
if [ -z "$lib" ] || [ ! -f "$lib" ]; then
	not_run "libdovecot is not there (package dovecot-core)"
	finish
fi
if ! dovecot_runs "$lib"; then
	not_run "libdovecot is of another C library or machine"
	finish
fi

cat >"$work/with-dovecot.c" <<'END'
#include "config.h"
#include "lib.h"
#include "buffer.h"
#include "ioloop.h"
#include "istream.h"
#include "ostream.h"

#include <stdio.h>

int with_dovecot(void);

/* Dovecot's own streams: o_stream_send() here is libdovecot's. */
int with_dovecot(void)
{
	struct ioloop *ioloop;
	buffer_t *buf;
	struct ostream *output;
	struct istream *input;
	const char *line;
	int ok;

	lib_init();
	ioloop = io_loop_create();
	buf = buffer_create_dynamic(default_pool, 64);
	output = o_stream_create_buffer(buf);
	o_stream_nsend_str(output, "from dovecot\n");
	ok = o_stream_finish(output) == 1;
	o_stream_destroy(&output);
	input = i_stream_create_from_data(buf->data, buf->used);
	line = i_stream_read_next_line(input);
	ok = ok && line != NULL && strcmp(line, "from dovecot") == 0;
	i_stream_destroy(&input);
	buffer_free(&buf);
	io_loop_destroy(&ioloop);
	lib_deinit();
	return ok;
}
END
cat >"$work/with-bobbin.c" <<'END'
#include <bobbin/istream.h>
#include <bobbin/ostream.h>

#include <stdio.h>
#include <string.h>

int with_dovecot(void);

static int with_bobbin(void)
{
	struct ioloop *ioloop = io_loop_create();
	buffer_t *buf = buffer_create_dynamic(default_pool, 64);
	struct ostream *end = o_stream_create_buffer(buf);
	struct ostream *output = o_stream_create_zlib(end, 6);
	struct istream *data, *input;
	const char *line;
	int ok;

	o_stream_nsend_str(output, "from bobbin\n");
	ok = o_stream_finish(output) == 1;
	o_stream_destroy(&output);
	o_stream_destroy(&end);
	data = i_stream_create_from_buffer(buf);
	input = i_stream_create_zlib(data);
	line = i_stream_read_next_line(input);
	ok = ok && line != NULL && strcmp(line, "from bobbin") == 0;
	i_stream_destroy(&input);
	i_stream_destroy(&data);
	buffer_free(&buf);
	io_loop_destroy(&ioloop);
	return ok;
}

int main(void)
{
	int first = with_bobbin(), second = with_dovecot(),
	    third = with_bobbin();

	printf("%d %d %d\n", first, second, third);
	return first && second && third ? 0 : 1;
}
END

check "a source of Dovecot's names compiles with Dovecot" \
	$CC ${TEST_CFLAGS-} -w -DHAVE_CONFIG_H -I"$DOVECOT_INCLUDE" \
	-c -o "$work/with-dovecot.o" "$work/with-dovecot.c"
check "and one with Bobbin" $CC ${TEST_CFLAGS-} -I"$work" \
	-c -o "$work/with-bobbin.o" "$work/with-bobbin.c"

# link_and_run HOW LIBRARY...
link_and_run()
{
	how=$1
	shift
	check "both libraries in one process link, $how" \
		$CC ${TEST_CFLAGS-} -o "$work/both" "$work/with-bobbin.o" \
		"$work/with-dovecot.o" "$@" -lpthread
	check "and both work, $how" \
		env LD_LIBRARY_PATH="$top_builddir/.libs:$DOVECOT_LIBDIR" \
		"$work/both"
}
static=$top_builddir/.libs/libbobbin-stream.a
shared=$top_builddir/.libs/libbobbin-stream.so
if [ -f "$shared" ]; then
	link_and_run "Bobbin first" "$shared" "$lib"
	link_and_run "Dovecot first" "$lib" "$shared"
fi
if [ -f "$static" ]; then
	link_and_run "Bobbin static" "$static" "$lib" $STREAM_LIBS
fi
finish
