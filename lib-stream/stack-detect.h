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

/* Undoes gzip, zstd, lz4 and age, layer by layer, at the first read; input that
   begins like none of them is passed on. zlib, deflate and the text encodings
   have no magic and are not recognised. */
struct istream *i_stream_create_auto(struct istream *input,
				     const struct stream_keys *keys);
/* What was found, outermost first ("age zstd"), "" for plain input; after the
   first read, and valid while the stream lives. */
const char *i_stream_auto_found(struct istream *stream);

BOBBIN_END_DECLS

#endif
