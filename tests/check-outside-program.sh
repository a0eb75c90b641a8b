#!/bin/sh
# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
#
# A program that knows nothing but pkg-config builds against a staged install
# and runs, shared and static; so does one of C++, and one that is written for
# Dovecot's names.

. "$(dirname "$0")/script-common.sh"

outside_stage || finish

cat >"$work/stream.c" <<'END'
#include <bobbin/istream.h>
#include <bobbin/ostream.h>

#include <stdio.h>
#include <string.h>

int main(void)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 256);
	struct ostream *end = o_stream_create_buffer(buf);
	struct ostream *gzip = o_stream_create_gzip(end, 6);
	struct istream *data, *input;
	const char *line;
	int ok;

	o_stream_nsend_str(gzip, "Hello, streams.\n");
	ok = o_stream_finish(gzip) == 1;
	o_stream_destroy(&gzip);
	o_stream_destroy(&end);

	data = i_stream_create_from_buffer(buf);
	input = i_stream_create_gzip(data);
	line = i_stream_read_next_line(input);
	ok = ok && line != NULL && strcmp(line, "Hello, streams.") == 0;
	i_stream_destroy(&input);
	i_stream_destroy(&data);
	buffer_free(&buf);
	puts(ok ? "ok" : "wrong");
	return ok ? 0 : 1;
}
END
cat >"$work/spool.c" <<'END'
#include <bobbin/spool.h>

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char *argv[])
{
	struct spool_settings settings = { "gzip", NULL, NULL };
	struct spool *spool;
	message_id id;
	char *error = NULL, text[MESSAGE_ID_TEXT_SIZE];

	if (argc != 2 || spool_init(argv[1], &settings, &error) < 0 ||
	    (spool = spool_open(argv[1], 0, NULL, &error)) == NULL) {
		fprintf(stderr, "%s\n", error == NULL ? "usage" : error);
		free(error);
		return 1;
	}
	spool_new_id(spool, &id);
	message_id_to_text(&id, text);
	spool_close(&spool);
	puts(text);
	return 0;
}
END

# build NAME PACKAGE [PKG-CONFIG-OPTION]
build()
{
	build_outside "$work/${1%%-*}.c" "$work/$1" "$2" "${3-}"
}

if [ -f "$stage$libdir/libbobbin-stream.so" ]; then
	check "a program of streams builds, shared" \
		build stream-shared bobbin-stream ""
	check "and runs" env LD_LIBRARY_PATH="$stage$libdir" \
		"$work/stream-shared"
	check "a program of spools builds, shared" \
		build spool-shared bobbin-spool ""
	check "and runs" env LD_LIBRARY_PATH="$stage$libdir" \
		"$work/spool-shared" "$work/spool-1"
	if command -v readelf >/dev/null; then
		readelf -d "$work/stream-shared" |
			grep -E 'NEEDED.*(libz|lz4|zstd|sodium)' >"$work/needed"
		check_empty "it is not linked to the codecs' libraries itself" \
			"$work/needed"
	fi
else
	echo "No shared libraries in this build: only static ones are used."
fi

rm -f "$stage$libdir"/libbobbin-*.so*
if [ -f "$stage$libdir/libbobbin-stream.a" ]; then
	check "a program of streams builds, static" \
		build stream-static bobbin-stream --static
	check "and runs" "$work/stream-static"
	check "a program of spools builds, static" \
		build spool-static bobbin-spool --static
	check "and runs" "$work/spool-static" "$work/spool-2"
fi
finish
