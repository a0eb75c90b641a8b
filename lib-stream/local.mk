# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.

# the core
stream_public_headers += lib-stream/ostream.h lib-stream/ostream-filters.h \
	lib-stream/istream.h lib-stream/istream-filters.h \
	lib-stream/transform.h
stream_private_headers += lib-stream/iostream-private.h \
	lib-stream/ostream-private.h lib-stream/istream-private.h \
	lib-stream/block-cache.h lib-stream/byte-queue.h \
	lib-stream/transform-step.h

stream_sources += lib-stream/block-cache.c
stream_sources += lib-stream/byte-queue.c
stream_sources += lib-stream/transform-step.c
stream_sources += lib-stream/ostream-transform.c
stream_sources += lib-stream/istream-transform.c
