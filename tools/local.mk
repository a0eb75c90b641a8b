# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.

bin_PROGRAMS += tools/bobbin
tools_bobbin_SOURCES = tools/bobbin.c tools/tool-common.c tools/tool-common.h \
	tools/progress.c
tools_bobbin_SOURCES += tools/cmd-cat.c
tools_bobbin_SOURCES += tools/cmd-keygen.c
tools_bobbin_LDADD = libbobbin-stream.la $(stream_libs)
