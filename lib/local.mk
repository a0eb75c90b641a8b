# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.

stream_public_headers += lib/compiler.h lib/types.h lib/panic.h lib/buffer.h \
	lib/hash-method.h lib/ioloop.h
stream_private_headers += lib/macros.h lib/mem.h lib/endian-io.h lib/number-text.h \
	lib/file-ops.h lib/crc32c.h lib/base64.h lib/ioloop-private.h \
	lib/timeout-queue.h lib/thread-start.h lib/thread-each.h lib/process-mark.h

stream_sources += lib/panic.c
stream_sources += lib/mem.c
stream_sources += lib/buffer.c
stream_sources += lib/hash-method.c
stream_sources += lib/crc32c.c
stream_sources += lib/base64.c
stream_sources += lib/file-ops.c
stream_sources += lib/ioloop.c
stream_sources += lib/ioloop-epoll.c
stream_sources += lib/timeout-queue.c
stream_sources += lib/thread-start.c
stream_sources += lib/thread-each.c
stream_sources += lib/process-mark.c
