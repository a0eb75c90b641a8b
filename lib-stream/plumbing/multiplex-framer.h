/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_MULTIPLEX_FRAMER_H
#define BOBBIN_MULTIPLEX_FRAMER_H

/* Writes channels' data in one of the two formats. A frame that was begun is
   completed whatever becomes of its channel: what the parent did not take of it
   waits here. Not installed. */

#include "byte-queue.h"
#include "ostream-private.h"

struct multiplex_framer {
	enum ostream_multiplex_format format;
	struct byte_queue unsent;
	int channel; /* whose bytes are next in the stream format; -1: not said */
	bool header_due;
};

void multiplex_framer_init(struct multiplex_framer *framer,
			   enum ostream_multiplex_format format);
void multiplex_framer_free(struct multiplex_framer *framer);

/* Sends what is left of the last frame to `stream`'s parent: 1 all, 0 not all,
   -1 with the stream's error. */
int multiplex_framer_flush(struct multiplex_framer *framer,
			   struct ostream_private *stream);
/* Only when that gave 1. Sends a frame for some of the data (size > 0): how many
   bytes of it, which are as good as sent then; 0: the parent takes nothing now;
   -1 with the stream's error. */
ssize_t multiplex_framer_send(struct multiplex_framer *framer,
			      struct ostream_private *stream, uint8_t channel,
			      const unsigned char *data, size_t size);

#endif
