# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.

# the core
stream_public_headers += lib-stream/ostream.h lib-stream/ostream-filters.h \
	lib-stream/istream.h lib-stream/istream-filters.h \
	lib-stream/iostream.h \
	lib-stream/transform.h
stream_private_headers += lib-stream/iostream-private.h \
	lib-stream/ostream-private.h lib-stream/istream-private.h \
	lib-stream/thread-exit.h lib-stream/block-cache.h \
	lib-stream/byte-queue.h lib-stream/temp-file.h \
	lib-stream/temp-seals.h lib-stream/temp-store.h \
	lib-stream/transform-step.h lib-stream/wake-fd.h \
	lib-stream/ostream-transform-private.h \
	lib-stream/istream-transform-private.h \
	lib-stream/transform-cache.h lib-stream/copy-line.h \
	lib-stream/transforms/wire-text.h lib-stream/transforms/dot-blocks.h \
	lib-stream/transforms/escape-text.h lib-stream/transforms/plain-run.h \
	lib-stream/transforms/async-private.h
stream_sources += lib-stream/iostream.c
stream_sources += lib-stream/ostream.c
stream_sources += lib-stream/ostream-send.c
stream_sources += lib-stream/ostream-flush.c
stream_sources += lib-stream/istream.c
stream_sources += lib-stream/istream-read.c
stream_sources += lib-stream/istream-buffer.c
stream_sources += lib-stream/istream-line.c
stream_sources += lib-stream/copy-line.c
stream_sources += lib-stream/istream-io.c
stream_sources += lib-stream/thread-exit.c
stream_sources += lib-stream/block-cache.c
stream_sources += lib-stream/wake-fd.c
stream_sources += lib-stream/byte-queue.c
stream_sources += lib-stream/temp-file.c
stream_sources += lib-stream/temp-seals.c
stream_sources += lib-stream/temp-store.c

# transforms and what makes streams of them
stream_public_headers += lib-stream/transforms/transforms.h
stream_sources += lib-stream/transform.c
stream_sources += lib-stream/transform-step.c
stream_sources += lib-stream/transform-cache.c
stream_sources += lib-stream/ostream-transform.c
stream_sources += lib-stream/ostream-transform-codec.c
stream_sources += lib-stream/istream-transform.c
stream_sources += lib-stream/istream-transform-codec.c
stream_sources += lib-stream/stream-filters.c
stream_sources += lib-stream/transforms/transform-deflate.c
stream_sources += lib-stream/transforms/transform-lz4.c
stream_sources += lib-stream/transforms/transform-dovecot-lz4.c
stream_sources += lib-stream/transforms/transform-zstd.c
stream_sources += lib-stream/transforms/transform-bzip2.c
stream_sources += lib-stream/transforms/transform-xz.c
stream_sources += lib-stream/transforms/transform-dot.c
stream_sources += lib-stream/transforms/dot-blocks.c
stream_sources += lib-stream/transforms/transform-hex.c
stream_sources += lib-stream/transforms/transform-json.c
stream_sources += lib-stream/transforms/transform-escape.c
stream_sources += lib-stream/transforms/transform-async.c
stream_sources += lib-stream/transforms/async-worker.c
stream_sources += lib-stream/transforms/async-queue.c
stream_sources += lib-stream/transforms/transform-base64.c
stream_sources += lib-stream/transforms/transform-qp.c
stream_sources += lib-stream/transforms/transform-crlf.c

# the age format
stream_public_headers += lib-stream/age/age-keys.h \
	lib-stream/age/transform-age.h
stream_private_headers += lib-stream/age/age-keys-private.h \
	lib-stream/age/age-aead.h lib-stream/age/age-base64.h \
	lib-stream/age/age-bech32.h \
	lib-stream/age/age-crypto.h lib-stream/age/age-hmac.h \
	lib-stream/age/age-header.h lib-stream/age/age-chunks.h \
	lib-stream/age/age-crew.h
stream_sources += lib-stream/age/age-bech32.c
stream_sources += lib-stream/age/age-keys.c
stream_sources += lib-stream/age/age-aead.c
stream_sources += lib-stream/age/age-crypto.c
stream_sources += lib-stream/age/age-header.c
stream_sources += lib-stream/age/age-hmac.c
stream_sources += lib-stream/age/age-chunks.c
stream_sources += lib-stream/age/age-crew.c
stream_sources += lib-stream/age/transform-age-encoder.c
stream_sources += lib-stream/age/transform-age-decoder.c
stream_sources += lib-stream/age/transform-armor.c

# stacks as text
stream_public_headers += lib-stream/stream-kinds.h lib-stream/stack-spec.h \
	lib-stream/stack-detect.h
stream_private_headers += lib-stream/stream-options.h \
	lib-stream/stream-kinds-private.h lib-stream/stack-spec-private.h
stream_sources += lib-stream/stream-kinds.c
stream_sources += lib-stream/stream-registry.c
stream_sources += lib-stream/stream-recognise.c
stream_sources += lib-stream/stream-options.c
stream_sources += lib-stream/stack-spec-parse.c
stream_sources += lib-stream/stack-spec.c
stream_sources += lib-stream/stack-detect.c

# ends
stream_private_headers += lib-stream/ends/ostream-file-private.h \
	lib-stream/ends/istream-file-private.h \
	lib-stream/ends/iostream-named-fd.h lib-stream/ends/file-rights.h
stream_sources += lib-stream/ends/file-rights.c
stream_sources += lib-stream/ends/iostream-named-fd.c
stream_sources += lib-stream/ends/ostream-file.c
stream_sources += lib-stream/ends/ostream-file-write.c
stream_sources += lib-stream/ends/ostream-file-copy.c
stream_sources += lib-stream/ends/ostream-file-atomic.c
stream_sources += lib-stream/ends/ostream-unix.c
stream_sources += lib-stream/ends/ostream-buffer.c
stream_sources += lib-stream/ends/ostream-callback.c
stream_sources += lib-stream/ends/ostream-null.c
stream_sources += lib-stream/ends/ostream-error.c
stream_sources += lib-stream/ends/istream-file.c
stream_sources += lib-stream/ends/istream-unix.c
stream_sources += lib-stream/ends/iostream-fd.c
stream_sources += lib-stream/ends/istream-data.c
stream_sources += lib-stream/ends/istream-callback.c
stream_sources += lib-stream/ends/istream-error.c

# helpers
stream_public_headers += lib-stream/helpers/iostream-pump.h \
	lib-stream/helpers/iostream-proxy.h
stream_sources += lib-stream/helpers/iostream-pump.c
stream_sources += lib-stream/helpers/iostream-proxy.c
stream_public_headers += lib-stream/helpers/iostream-temp.h \
	lib-stream/helpers/iostream-rawlog.h
stream_private_headers += lib-stream/helpers/istream-temp.h
stream_sources += lib-stream/helpers/iostream-temp.c
stream_sources += lib-stream/helpers/istream-temp.c
stream_sources += lib-stream/helpers/iostream-rawlog.c

# plumbing
stream_sources += lib-stream/plumbing/ostream-passthrough.c
stream_sources += lib-stream/plumbing/ostream-hash.c
stream_sources += lib-stream/plumbing/ostream-failure-at.c
stream_sources += lib-stream/plumbing/istream-limit.c
stream_sources += lib-stream/plumbing/istream-sized.c
stream_sources += lib-stream/plumbing/istream-nonuls.c
stream_sources += lib-stream/plumbing/istream-chain.c
stream_sources += lib-stream/plumbing/istream-tee.c
stream_sources += lib-stream/plumbing/istream-try.c
stream_sources += lib-stream/plumbing/istream-progress.c
stream_sources += lib-stream/plumbing/ostream-progress.c
stream_sources += lib-stream/plumbing/ostream-tee.c
stream_private_headers += lib-stream/plumbing/multiplex-format.h \
	lib-stream/plumbing/multiplex-framer.h \
	lib-stream/plumbing/ostream-multiplex-private.h
stream_sources += lib-stream/plumbing/istream-multiplex.c
stream_sources += lib-stream/plumbing/multiplex-format.c
stream_sources += lib-stream/plumbing/multiplex-framer.c
stream_sources += lib-stream/plumbing/ostream-multiplex.c
stream_sources += lib-stream/plumbing/ostream-multiplex-send.c
stream_sources += lib-stream/plumbing/istream-whole.c
stream_sources += lib-stream/plumbing/istream-concat.c
stream_sources += lib-stream/plumbing/istream-seekable.c
stream_sources += lib-stream/plumbing/istream-timeout.c
stream_private_headers += lib-stream/plumbing/rawlog.h
stream_sources += lib-stream/plumbing/rawlog.c
stream_sources += lib-stream/plumbing/istream-rawlog.c
stream_sources += lib-stream/plumbing/ostream-rawlog.c
stream_sources += lib-stream/plumbing/istream-hash.c
stream_sources += lib-stream/plumbing/istream-failure-at.c
