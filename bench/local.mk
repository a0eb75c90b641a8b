# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
#
# make bench: how fast it is, beside what people would use instead. Not a test.
# BENCH_ARGS: see bench/run.py --help.

bench_common = bench/bench.c bench/bench.h bench/bench-files.c \
	bench/bench-files.h
bench_programs = bench/bench-raw bench/bench-streams bench/bench-bobbin \
	bench/bench-stacks
bench_spool_programs = bench/bench-spool bench/bench-spool-raw
EXTRA_PROGRAMS = $(bench_programs) $(bench_spool_programs)

bench_bench_raw_SOURCES = bench/bench-raw.c bench/bench-raw-bytes.c \
	bench/bench-raw-bytes.h $(bench_common)
bench_bench_raw_CPPFLAGS = -Ibench
bench_bench_raw_CFLAGS = $(AM_CFLAGS)
bench_bench_raw_LDADD = $(stream_libs)

# As a program of a user's: static, so that no call goes through a table that a
# raw program's does not.
bench_bench_streams_SOURCES = bench/bench-streams.c $(bench_common)
bench_bench_streams_CPPFLAGS = -Ibench -Iexamples/include
bench_bench_streams_CFLAGS = $(AM_CFLAGS)
bench_bench_streams_LDADD = libstream-objects.la
bench_bench_bobbin_SOURCES = bench/bench-bobbin.c $(bench_common)
bench_bench_bobbin_CPPFLAGS = -Ibench -Iexamples/include
bench_bench_bobbin_CFLAGS = $(AM_CFLAGS)
bench_bench_bobbin_LDADD = libspool-objects.la libstream-objects.la
bench_bench_stacks_SOURCES = bench/bench-stacks.c $(bench_common)
bench_bench_stacks_CPPFLAGS = -Ibench -Iexamples/include
bench_bench_stacks_CFLAGS = $(AM_CFLAGS)
bench_bench_stacks_LDADD = libstream-objects.la

# make bench-spool: the same for the stores of a spool.
bench_writers = $(bench_common) bench/bench-writers.c bench/bench-writers.h
bench_bench_spool_raw_SOURCES = bench/bench-spool-raw.c $(bench_writers)
bench_bench_spool_raw_CPPFLAGS = -Ibench
bench_bench_spool_raw_CFLAGS = $(AM_CFLAGS)
bench_bench_spool_raw_LDADD = $(ZSTD_LIBS) -lpthread
bench_bench_spool_SOURCES = bench/bench-spool.c bench/bench-spool.h \
	bench/bench-spool-async.c $(bench_writers)
bench_bench_spool_CPPFLAGS = -Ibench -Iexamples/include
bench_bench_spool_CFLAGS = $(AM_CFLAGS)
bench_bench_spool_LDADD = libspool-objects.la libstream-objects.la

bench/bench_spool-bench-spool.$(OBJEXT) \
bench/bench_spool-bench-spool-async.$(OBJEXT) \
bench/bench_streams-bench-streams.$(OBJEXT) \
bench/bench_stacks-bench-stacks.$(OBJEXT) \
bench/bench_bobbin-bench-bobbin.$(OBJEXT): examples/include/bobbin.stamp

EXTRA_DIST += bench/run.py bench/rows.py bench/corpus.py bench/bench-streams.c \
	bench/spool.py bench/spoolrows.py bench/bench-spool-sqlite.c \
	bench/bench-spool-lmdb.c bench/bench-spool-postfix.py

# libdovecot's own build of bench-streams.c, where its headers are.
DOVECOT_INCLUDE = /usr/include/dovecot
DOVECOT_LIBDIR = /usr/lib/dovecot
bench/bench-dovecot: bench/bench-streams.c $(bench_common)
	$(AM_V_CCLD)$(CC) -w $(CFLAGS) -std=gnu11 -D_GNU_SOURCE -DHAVE_CONFIG_H \
		-DBENCH_DOVECOT -I$(DOVECOT_INCLUDE) -I$(srcdir)/bench -o $@ \
		$(srcdir)/bench/bench-streams.c $(srcdir)/bench/bench.c \
		$(srcdir)/bench/bench-files.c -L$(DOVECOT_LIBDIR) \
		-Wl,-rpath,$(DOVECOT_LIBDIR) -ldovecot-compression -ldovecot \
		-lpthread
CLEANFILES += bench/bench-dovecot $(bench_programs)

.PHONY: bench bench-spool
if HAVE_ZSTD
bench: $(bench_programs) tools/bobbin$(EXEEXT)
	if test -f $(DOVECOT_INCLUDE)/ostream.h; then \
		$(MAKE) bench/bench-dovecot; fi
	$(srcdir)/bench/run.py --programs bench --out bench/out \
		--mails $(srcdir)/tests/data/mail $(BENCH_ARGS)
else
# zstd is in the works of either
bench bench-spool:
	@echo "make $@: this build lacks zstd, which is compared: configure --with-zstd" >&2
	@exit 1
endif

# Stores that a user might take instead, where their libraries are.
bench_peer_sources = $(bench_common) bench/bench-writers.c \
	bench/bench-writers.h
bench/bench-spool-sqlite: bench/bench-spool-sqlite.c $(bench_peer_sources)
bench/bench-spool-lmdb: bench/bench-spool-lmdb.c $(bench_peer_sources)
bench/bench-spool-sqlite bench/bench-spool-lmdb:
	$(AM_V_CCLD)name=$(@F); \
	lib=`echo $$name | sed 's/^bench-spool-//; s/sqlite/sqlite3/'`; \
	$(CC) $(CFLAGS) -std=gnu11 `pkg-config --cflags $$lib` \
		-I$(srcdir)/bench -o $@ $(srcdir)/bench/$$name.c \
		$(srcdir)/bench/bench.c $(srcdir)/bench/bench-files.c \
		$(srcdir)/bench/bench-writers.c `pkg-config --libs $$lib` \
		-lpthread
bench/bench-spool-postfix: bench/bench-spool-postfix.py
	$(AM_V_GEN)cp $(srcdir)/bench/bench-spool-postfix.py $@
CLEANFILES += bench/bench-spool-sqlite bench/bench-spool-lmdb \
	bench/bench-spool-postfix \
	$(bench_spool_programs)

if HAVE_ZSTD
bench-spool: $(bench_spool_programs) bench/bench-spool-postfix \
		tools/bobbin$(EXEEXT)
	for name in sqlite lmdb; do \
		lib=`echo $$name | sed 's/sqlite/sqlite3/'`; \
		if pkg-config --exists $$lib; then \
			$(MAKE) bench/bench-spool-$$name || exit 1; fi; done
	$(srcdir)/bench/spool.py --programs bench --out bench/out \
		--mails $(srcdir)/tests/data/mail $(BENCH_ARGS)
endif
