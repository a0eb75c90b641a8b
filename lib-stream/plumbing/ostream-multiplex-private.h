/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_OSTREAM_MULTIPLEX_PRIVATE_H
#define BOBBIN_OSTREAM_MULTIPLEX_PRIVATE_H

/* The channels of a multiplexed output: sending (ostream-multiplex-send.c) and
   everything else (ostream-multiplex.c). Not installed. */

#include "plumbing/multiplex-framer.h"

struct multiplex_ochannel {
	struct ostream_private ostream;
	struct multiplex_ostream *multiplex;
	struct multiplex_ochannel *next;
	struct byte_queue queue;
	size_t ready; /* its first bytes, which no cork holds back */
	uint64_t served;
	uint8_t id;
	/* its user waits for the flush callback */
	bool waiting;
};

struct multiplex_ostream {
	int refcount; /* channels that are not freed, and a running event */
	struct ostream *parent;
	stream_flush_callback_t *old_callback;
	void *old_context;
	struct multiplex_framer framer;
	/* the open ones, and where calling their callbacks goes on */
	struct multiplex_ochannel *channels, *next_called;
	unsigned int ready_count;
	uint64_t served;
	size_t bufsize; /* of a new channel */
};

/* How many bytes of its first ones no cork holds back any more. */
void multiplex_set_ready(struct multiplex_ochannel *channel, size_t ready);
/* Sends what is ready of all channels: 1 all, 0 not all, -1. An error is the
   channel's, and that of all others. */
int multiplex_send_ready(struct multiplex_ochannel *channel);
/* The parent failed: so has every channel. Returns -1. */
int multiplex_fail_all(struct multiplex_ochannel *channel);
/* The user of this channel is called when the parent can take more. */
void multiplex_wait(struct multiplex_ochannel *channel);
/* The method. */
ssize_t o_stream_multiplex_sendv(struct ostream_private *stream,
				 const struct const_iovec *iov,
				 unsigned int iov_count);

static inline struct multiplex_ochannel *
multiplex_ochannel(struct ostream_private *stream)
{
	return container_of(stream, struct multiplex_ochannel, ostream);
}

static inline size_t multiplex_used(const struct multiplex_ochannel *channel)
{
	return byte_queue_used(&channel->queue);
}

#endif
