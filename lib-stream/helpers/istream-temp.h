/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_ISTREAM_TEMP_H
#define BOBBIN_ISTREAM_TEMP_H

#include "istream.h"
#include "temp-store.h"

/* All bytes of the store, which becomes the stream's. Not installed. */
struct istream *i_stream_create_temp_store(struct temp_store *store,
					   size_t max_buffer_size);

#endif
