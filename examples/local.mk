# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
#
# Programs as their authors would write them: <bobbin/...> from an include path,
# nothing of config.h. The headers are copied to where they would be installed.

check_PROGRAMS += examples/compress
examples_compress_SOURCES = examples/compress.c
examples_compress_CPPFLAGS = -Iexamples/include
examples_compress_LDADD = libbobbin-stream.la
examples/compress-compress.$(OBJEXT): examples/include/bobbin.stamp
check_PROGRAMS += examples/spool
examples_spool_SOURCES = examples/spool.c
examples_spool_CPPFLAGS = -Iexamples/include
examples_spool_LDADD = libbobbin-spool.la libbobbin-stream.la
examples/spool-spool.$(OBJEXT): examples/include/bobbin.stamp
check_PROGRAMS += examples/spool-async
examples_spool_async_SOURCES = examples/spool-async.c
examples_spool_async_CPPFLAGS = -Iexamples/include
examples_spool_async_LDADD = libbobbin-spool.la libbobbin-stream.la
examples/spool_async-spool-async.$(OBJEXT): examples/include/bobbin.stamp

check_PROGRAMS += examples/lmtp
examples_lmtp_SOURCES = examples/lmtp.c
examples_lmtp_CPPFLAGS = -Iexamples/include
examples_lmtp_LDADD = libbobbin-spool.la libbobbin-stream.la
examples/lmtp-lmtp.$(OBJEXT): examples/include/bobbin.stamp

check_PROGRAMS += examples/backpressure
examples_backpressure_SOURCES = examples/backpressure.c
examples_backpressure_CPPFLAGS = -Iexamples/include
examples_backpressure_LDADD = libbobbin-stream.la
examples/backpressure-backpressure.$(OBJEXT): examples/include/bobbin.stamp

check_PROGRAMS += examples/http-chunks
examples_http_chunks_SOURCES = examples/http-chunks.c
examples_http_chunks_CPPFLAGS = -Iexamples/include
examples_http_chunks_LDADD = libbobbin-stream.la
examples/http_chunks-http-chunks.$(OBJEXT): examples/include/bobbin.stamp

# module-audit.c and module-brotli.c are built by tests/check-outside-module.sh, against the
# installed headers.
dist_docexamples_DATA += examples/compress.c examples/spool.c examples/spool-async.c \
	examples/lmtp.c examples/backpressure.c examples/http-chunks.c examples/module-audit.c \
	examples/module-brotli.c \
	examples/ioloop-libev.c examples/ioloop-libev.h

examples/include/bobbin.stamp: $(stream_public_headers) \
		$(spool_public_headers) lib/bobbin-rename.h
	$(AM_V_GEN)mkdir -p examples/include/bobbin && \
	for h in $(stream_public_headers) $(spool_public_headers); do \
		cp -f $(srcdir)/$$h examples/include/bobbin/ || exit 1; \
	done && cp -f lib/bobbin-rename.h examples/include/bobbin/ && touch $@

clean-local:
	rm -rf examples/include
