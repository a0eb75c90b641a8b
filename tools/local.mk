# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.

bin_PROGRAMS += tools/bobbin
tools_bobbin_SOURCES = tools/bobbin.c tools/tool-common.c tools/tool-common.h \
	tools/progress.c tools/interrupt.c tools/stdin.c tools/stdout.c \
	tools/text-out.c tools/keys.c tools/options.c
tools_bobbin_SOURCES += tools/cmd-cat.c
tools_bobbin_SOURCES += tools/cmd-keygen.c
tools_bobbin_SOURCES += tools/cmd-kinds.c
tools_bobbin_SOURCES += tools/spool-common.c tools/spool-common.h \
	tools/spool-json.c tools/spool-writer.c tools/spool-counts.c
tools_bobbin_SOURCES += tools/line-ends.c tools/line-ends.h
tools_bobbin_SOURCES += tools/cmd-spool-init.c
tools_bobbin_SOURCES += tools/cmd-spool-put.c
tools_bobbin_SOURCES += tools/cmd-spool-get.c
tools_bobbin_SOURCES += tools/cmd-spool-list.c
tools_bobbin_SOURCES += tools/cmd-spool-show.c
tools_bobbin_SOURCES += tools/cmd-spool-rm.c
tools_bobbin_SOURCES += tools/cmd-spool-verify.c
tools_bobbin_SOURCES += tools/cmd-spool-stats.c
tools_bobbin_SOURCES += tools/cmd-spool-repair.c
tools_bobbin_SOURCES += tools/cmd-spool-compact.c
tools_bobbin_SOURCES += tools/cmd-spool-migrate.c
tools_bobbin_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
tools_bobbin_LDADD = libbobbin-spool.la libbobbin-stream.la $(stream_libs) \
	$(JANSSON_LIBS)
