/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_STACK_DETECT_H
#define BOBBIN_STACK_DETECT_H

/* For people at a terminal: recognising what input is by its first bytes. A
   program that knows what it stored never guesses (a sender whose text begins
   like a gzip file would have it decoded). */

#include "stream-kinds.h"

BOBBIN_BEGIN_DECLS

struct istream;

/* More layers than this are passed on as they are. */
#define STACK_DETECT_LAYERS_MAX 8

/* Undoes gzip, zstd, lz4 (also Dovecot's), bzip2, xz, age and its armor, and the program's
   own kinds that have a magic, layer by layer, at the first read; input that begins like
   none of them is passed on. zlib, deflate, lzma and the text encodings have no magic and
   are not recognised; zstd and lz4 are behind frames that are skipped, too, where their
   magic is within the first 128 bytes. The context (may be NULL) gives the identities, and need not live longer
   than this call. */
struct istream *i_stream_create_auto(struct istream *input,
				     const struct stream_context *context);
/* How many layers were found; 0 for plain input, and before the first read. The stream
   is one of the above or of i_stream_create_decompress(), or it panics. */
unsigned int i_stream_auto_layer_count(struct istream *stream);
/* Layer i, 0 being the outermost (what the input begins with): its kind, and
   the stream that undoes it. The stream lives as long as the auto stream. */
const struct stream_kind *i_stream_auto_layer(struct istream *stream,
					      unsigned int i,
					      struct istream **layer_r);

BOBBIN_END_DECLS

#endif
