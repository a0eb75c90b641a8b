#!/bin/sh
# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
#
# A program that knows nothing but pkg-config builds against a staged install
# and runs, shared and static; so does one of C++, and one that is written for
# Dovecot's names.

. "$(dirname "$0")/script-common.sh"

# An administrator may have any umask.
old_umask=$(umask)
umask 077
outside_stage || finish
umask "$old_umask"
find "$stage" -type f ! -perm -444 >"$work/closed"
check_empty "all may read what is installed" "$work/closed"

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
	struct spool_settings settings = { .body = "gzip" };
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

# A server's plugin, and a server that unloads it while a thread that has been in it goes
# on.
cat >"$work/plugin.c" <<'END'
#include <bobbin/ostream.h>

int use(void);
int use(void)
{
	struct ostream *end = o_stream_create_null();
	struct ostream *gzip = o_stream_create_gzip(end, 6);
	int ret;

	o_stream_nsend_str(gzip, "Hello, plugins.\n");
	ret = o_stream_finish(gzip);
	o_stream_destroy(&gzip);
	o_stream_destroy(&end);
	return ret;
}
END
cat >"$work/server.c" <<'END'
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

static pthread_barrier_t used, unloaded;

static void *run(void *plugin)
{
	int (*use)(void) = (int (*)(void))dlsym(plugin, "use");

	if (use == NULL || use() != 1)
		puts("wrong");
	(void)pthread_barrier_wait(&used);
	(void)pthread_barrier_wait(&unloaded);
	return NULL;
}

int main(int argc, char *argv[])
{
	void *plugin = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
	pthread_t thread;

	if (plugin == NULL) {
		puts(argc == 2 ? dlerror() : "usage");
		return 1;
	}
	(void)pthread_barrier_init(&used, NULL, 2);
	(void)pthread_barrier_init(&unloaded, NULL, 2);
	if (pthread_create(&thread, NULL, run, plugin) != 0)
		return 1;
	(void)pthread_barrier_wait(&used);
	(void)dlclose(plugin);
	(void)pthread_barrier_wait(&unloaded);
	(void)pthread_join(thread, NULL);
	return 0;
}
END
server()
{
	$CC ${TEST_CFLAGS-} -o "$work/server" "$work/server.c" -lpthread -ldl
}
# plugin NAME [PKG-CONFIG-OPTION]
plugin()
{
	build_outside "$work/plugin.c" "$work/$1" bobbin-stream "${2-}" -fPIC -shared
}

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
	check "a server builds" server
	check "and a plugin for it, shared" plugin shared.so
	check "which may be unloaded while its threads go on" \
		env LD_LIBRARY_PATH="$stage$libdir" "$work/server" "$work/shared.so"
else
	echo "No shared libraries in this build: only static ones are used."
fi

# What the installed pages and headers refer to is installed, too.
docdir=$(dirname "$(find "$stage" -name README.md)")
grep -ohE '\<(doc|examples)/[a-z-]+\.(md|c|h)\>' "$docdir/README.md" "$docdir"/doc/*.md \
	"$stage$($PKG_CONFIG --variable=includedir bobbin-stream)"/bobbin/*.h |
	sort -u >"$work/named"
check "the installed pages name others" grep -q '^doc/hooks.md$' "$work/named"
while read -r page; do
	[ -f "$docdir/$page" ] || echo "$page"
done <"$work/named" >"$work/missing"
check_empty "and these are installed" "$work/missing"

rm -f "$stage$libdir"/libbobbin-*.so*
if [ -f "$stage$libdir/libbobbin-stream.a" ]; then
	check "a program of streams builds, static" \
		build stream-static bobbin-stream --static
	check "and runs" "$work/stream-static"
	check "a program of spools builds, static" \
		build spool-static bobbin-spool --static
	check "and runs" "$work/spool-static" "$work/spool-2"
	if sanitized; then
		not_run "unloading a plugin: what its threads kept would be a leak"
	elif plugin static.so --static >"$work/plugin.out" 2>&1; then
		server
		check "a plugin that has the library in it may be unloaded, too" \
			"$work/server" "$work/static.so"
	else
		not_run "the static library in a plugin: it has no -fPIC"
	fi
fi

check "make uninstall" stage_install "$stage" uninstall
find "$stage" \( ! -type d -o -name bobbin \) >"$work/left"
check_empty "leaves nothing" "$work/left"
finish
