/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* How the channels of a multiplexed output send. Each gathers bytes of its own while
   it is corked or the parent is full; the framer writes them. What is `ready` of them
   goes out when the parent has room, channel by channel, the one that waited longest
   first. */

#include "config.h"
#include "plumbing/ostream-multiplex-private.h"

#include <errno.h>
#include <string.h>

void multiplex_set_ready(struct multiplex_ochannel *channel, size_t ready)
{
	struct multiplex_ostream *multiplex = channel->multiplex;

	if (channel->ready > 0)
		multiplex->ready_count--;
	if (ready > 0)
		multiplex->ready_count++;
	channel->ready = ready;
}

/* A parent that failed fails every channel. Without a failing parent it is memory,
   and a frame that cannot be completed is the end for all, too. */
int multiplex_fail_all(struct multiplex_ochannel *first)
{
	struct multiplex_ostream *multiplex = first->multiplex;
	struct multiplex_ochannel *channel;

	for (channel = multiplex->channels; channel != NULL;
	     channel = channel->next) {
		channel->ostream.append.open = false;
		if (multiplex->parent->stream_errno != 0)
			o_stream_copy_error_from_parent(&channel->ostream);
		else
			(void)o_stream_fail(
				&channel->ostream,
				first->ostream.ostream.stream_errno, "%s",
				o_stream_get_error(&first->ostream.ostream));
	}
	return -1;
}

void multiplex_wait(struct multiplex_ochannel *channel)
{
	channel->waiting = true;
	o_stream_set_flush_pending(channel->multiplex->parent, true);
}

/*
 * Sending
 */

/* The one that was not served for the longest time. */
static struct multiplex_ochannel *
next_ready(const struct multiplex_ostream *multiplex)
{
	struct multiplex_ochannel *channel, *next = NULL;

	if (multiplex->ready_count == 0)
		return NULL;
	for (channel = multiplex->channels; channel != NULL;
	     channel = channel->next) {
		if (channel->ready > 0 &&
		    (next == NULL || channel->served < next->served))
			next = channel;
	}
	return next;
}

/* One frame. As multiplex_framer_send(), and all fail together. */
static ssize_t send_frame(struct multiplex_ochannel *channel,
			  const unsigned char *data, size_t size)
{
	struct multiplex_ostream *multiplex = channel->multiplex;
	ssize_t ret;

	ret = multiplex_framer_send(&multiplex->framer, &channel->ostream,
				    channel->id, data, size);
	if (ret > 0)
		channel->served = ++multiplex->served;
	return ret < 0 ? multiplex_fail_all(channel) : ret;
}

/* Frames of what is ready: 1 all, 0 not all, -1. Errors are the channel's, and
   those of all others. */
static int send_frames(struct multiplex_ochannel *self)
{
	struct multiplex_ostream *multiplex = self->multiplex;
	struct multiplex_ochannel *channel;
	ssize_t ret;

	for (;;) {
		ret = multiplex_framer_flush(&multiplex->framer,
					     &self->ostream);
		if (ret <= 0)
			return ret < 0 ? multiplex_fail_all(self) : 0;
		channel = next_ready(multiplex);
		if (channel == NULL)
			return 1;
		ret = send_frame(channel, byte_queue_data(&channel->queue),
				 channel->ready);
		if (ret <= 0)
			return (int)ret;
		channel->ostream.append.open = false;
		byte_queue_skip(&channel->queue, (size_t)ret);
		byte_queue_relax(&channel->queue);
		multiplex_set_ready(channel, channel->ready - (size_t)ret);
	}
}

/* Several frames become one write. */
int multiplex_send_ready(struct multiplex_ochannel *self)
{
	struct multiplex_ostream *multiplex = self->multiplex;
	struct ostream *parent = multiplex->parent;
	bool cork = multiplex->ready_count > 1 && !o_stream_is_corked(parent);
	int ret;

	if (cork)
		o_stream_cork_internal(parent);
	ret = send_frames(self);
	if (!cork)
		return ret;
	o_stream_uncork_internal(parent);
	if (parent->stream_errno == 0)
		return ret;
	/* from here on it is the channels' error to check */
	o_stream_ignore_last_errors(parent);
	return multiplex_fail_all(self);
}

static size_t queue_room(const struct multiplex_ochannel *channel, size_t limit)
{
	return limit - I_MIN(limit, multiplex_used(channel));
}

/* A corked channel sends when this much is there. */
static size_t block_size(const struct multiplex_ochannel *channel)
{
	return I_MIN(channel->ostream.max_buffer_size, (size_t)IO_BLOCK_SIZE);
}

static int queue_bytes(struct multiplex_ochannel *channel, const void *data,
		       size_t size)
{
	unsigned char *dest = byte_queue_reserve(&channel->queue, size);
	struct ostream_private *s = &channel->ostream;

	if (dest == NULL)
		return o_stream_fail(s, ENOMEM, "%s: out of memory",
				     o_stream_get_name(&s->ostream));
	memcpy(dest, data, size);
	byte_queue_add(&channel->queue, size);
	return 0;
}

static int queue_all(struct multiplex_ochannel *channel,
		     const struct const_iovec *iov, unsigned int iov_count)
{
	unsigned int i;

	for (i = 0; i < iov_count; i++) {
		if (iov[i].iov_len > 0 &&
		    queue_bytes(channel, iov[i].iov_base, iov[i].iov_len) < 0)
			return -1;
	}
	return 0;
}

/* Sends one piece past the queue, which is empty; then fills the queue. */
static ssize_t send_piece(struct multiplex_ochannel *channel,
			  const struct const_iovec *iov)
{
	const unsigned char *data = iov->iov_base;
	size_t left = iov->iov_len, room;
	ssize_t ret;

	while (left > 0 && multiplex_used(channel) == 0) {
		ret = multiplex_send_ready(channel);
		if (ret > 0)
			ret = send_frame(channel, data, left);
		if (ret < 0)
			return -1;
		if (ret == 0)
			break;
		data += ret;
		left -= (size_t)ret;
	}
	room = I_MIN(left,
		     queue_room(channel, channel->ostream.max_buffer_size));
	if (room > 0) {
		if (queue_bytes(channel, data, room) < 0)
			return -1;
		multiplex_set_ready(channel, multiplex_used(channel));
	}
	return (ssize_t)(iov->iov_len - left + room);
}

static ssize_t send_pieces(struct multiplex_ochannel *channel,
			   const struct const_iovec *iov,
			   unsigned int iov_count)
{
	size_t taken = 0;
	unsigned int i;
	ssize_t ret;

	for (i = 0; i < iov_count; i++) {
		ret = send_piece(channel, &iov[i]);
		if (ret < 0)
			return -1;
		taken += (size_t)ret;
		if ((size_t)ret < iov[i].iov_len)
			break;
	}
	return (ssize_t)taken;
}

/* The next small sends need no more than a copy. */
static void open_append(struct multiplex_ochannel *channel)
{
	if (channel->queue.data == NULL)
		return;
	byte_queue_open(&channel->queue,
			queue_room(channel, block_size(channel)));
	channel->ostream.append.open = true;
}

ssize_t o_stream_multiplex_sendv(struct ostream_private *stream,
				 const struct const_iovec *iov,
				 unsigned int iov_count)
{
	struct multiplex_ochannel *channel = multiplex_ochannel(stream);
	size_t size = 0;
	ssize_t taken = 0;
	unsigned int i;
	bool gather;

	for (i = 0; i < iov_count; i++)
		size += iov[i].iov_len;
	/* vectors are gathered so that one send is one packet */
	gather = stream->corked || iov_count > 1;
	if (gather && size <= queue_room(channel, block_size(channel))) {
		if (queue_all(channel, iov, iov_count) < 0)
			return -1;
		taken = (ssize_t)size;
		if (stream->corked) {
			open_append(channel);
			return taken;
		}
	}
	multiplex_set_ready(channel, multiplex_used(channel));
	if (multiplex_send_ready(channel) < 0)
		return -1;
	if (taken == 0)
		taken = send_pieces(channel, iov, iov_count);
	if (taken < 0)
		return -1;
	if ((size_t)taken < size || channel->ready > 0)
		multiplex_wait(channel);
	else if (byte_queue_used(&channel->multiplex->framer.unsent) > 0)
		o_stream_set_flush_pending(stream->parent, true);
	return taken;
}
