/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The two formats of multiplexed data, written. A frame goes to the parent from
   where the channel has its bytes; it is copied only for escapes, and as far as
   the parent does not take it. */

#include "config.h"
#include "plumbing/multiplex-framer.h"
#include "plumbing/multiplex-format.h"

#include <errno.h>
#include <string.h>

/* A frame is as large as the parent has room for, so that little of it has to wait
   here. But room may be all that a parent does not tell of (one without a buffer),
   and then this many bytes are tried. */
#define MIN_FRAME_ROOM 1024
/* Data with escapes is framed in pieces of this size. */
#define MAX_ESCAPED_SIZE 16384
/* "03 fe 01" for one byte. */
#define ESCAPED_BYTE_SIZE 3
#define SWITCH_SIZE 4

void multiplex_framer_init(struct multiplex_framer *framer,
			   enum ostream_multiplex_format format)
{
	framer->format = format;
	framer->header_due = format == OSTREAM_MULTIPLEX_FORMAT_STREAM;
	framer->channel = framer->header_due ? 0 : -1;
}

void multiplex_framer_free(struct multiplex_framer *framer)
{
	byte_queue_free(&framer->unsent);
}

int multiplex_framer_flush(struct multiplex_framer *framer,
			   struct ostream_private *stream)
{
	struct const_iovec iov;
	ssize_t ret;

	while (byte_queue_used(&framer->unsent) > 0) {
		iov.iov_base = byte_queue_data(&framer->unsent);
		iov.iov_len = byte_queue_used(&framer->unsent);
		ret = o_stream_send_parent(stream, &iov, 1);
		if (ret <= 0)
			return (int)ret;
		byte_queue_skip(&framer->unsent, (size_t)ret);
	}
	byte_queue_relax(&framer->unsent);
	return 1;
}

static unsigned char *reserve(struct multiplex_framer *framer,
			      struct ostream_private *stream, size_t size)
{
	unsigned char *dest = byte_queue_reserve(&framer->unsent, size);

	if (dest == NULL)
		(void)o_stream_fail(stream, ENOMEM, "%s: out of memory",
				    o_stream_get_name(&stream->ostream));
	return dest;
}

/* Sends a frame of two parts. 1, 0 where nothing of it was taken, or -1. */
static int send_parts(struct multiplex_framer *framer,
		      struct ostream_private *stream,
		      const struct const_iovec iov[2])
{
	size_t size = iov[0].iov_len + iov[1].iov_len, sent, head;
	unsigned char *dest;
	ssize_t ret;

	ret = o_stream_send_parent(stream, iov, 2);
	if (ret <= 0 || (size_t)ret == size)
		return ret > 0 ? 1 : (int)ret;
	sent = (size_t)ret;
	dest = reserve(framer, stream, size - sent);
	if (dest == NULL)
		return -1;
	head = iov[0].iov_len - I_MIN(iov[0].iov_len, sent);
	memcpy(dest, (const char *)iov[0].iov_base + (iov[0].iov_len - head),
	       head);
	dest += head;
	head = size - sent - head;
	memcpy(dest, (const char *)iov[1].iov_base + (iov[1].iov_len - head),
	       head);
	byte_queue_add(&framer->unsent, size - sent);
	return 1;
}

/* How much data a frame may have that the parent has room for. */
static size_t good_size(const struct ostream_private *stream, size_t size)
{
	size_t room = o_stream_get_buffer_avail_size(stream->parent);

	room = I_MAX(room, (size_t)MIN_FRAME_ROOM);
	return I_MIN(size, room - MULTIPLEX_PACKET_HEADER_SIZE);
}

static ssize_t send_packet(struct multiplex_framer *framer,
			   struct ostream_private *stream, uint8_t channel,
			   const unsigned char *data, size_t size)
{
	unsigned char header[MULTIPLEX_PACKET_HEADER_SIZE];
	struct const_iovec iov[2] = { { header, sizeof(header) } };
	uint32_t length;
	int ret;

	/* the largest length would look like a stream's header */
	length = (uint32_t)I_MIN(good_size(stream, size),
				 (size_t)UINT32_MAX - 1);
	header[0] = channel;
	header[1] = (unsigned char)(length >> 24);
	header[2] = (unsigned char)(length >> 16);
	header[3] = (unsigned char)(length >> 8);
	header[4] = (unsigned char)length;
	iov[1].iov_base = data;
	iov[1].iov_len = length;
	ret = send_parts(framer, stream, iov);
	return ret > 0 ? (ssize_t)length : ret;
}

static unsigned char *put_escape(unsigned char *dest, unsigned char what)
{
	*dest++ = MULTIPLEX_ESCAPE_1;
	*dest++ = MULTIPLEX_ESCAPE_2;
	*dest++ = what;
	return dest;
}

/* What comes before the data: a switch to the channel, if another one had the last
   word. */
static unsigned char *put_switch(const struct multiplex_framer *framer,
				 unsigned char *dest, uint8_t channel)
{
	if (framer->channel == channel)
		return dest;
	dest = put_escape(dest, MULTIPLEX_ESCAPE_CHANNEL);
	*dest++ = channel;
	return dest;
}

static unsigned char *put_escaped(unsigned char *dest,
				  const unsigned char *data, size_t size)
{
	size_t plain;

	while (size > 0) {
		plain = multiplex_plain_size(data, size);
		memcpy(dest, data, plain);
		dest += plain;
		data += plain;
		size -= plain;
		if (size == 0)
			break;
		dest = put_escape(dest, MULTIPLEX_ESCAPE_BYTE);
		data++;
		size--;
	}
	return dest;
}

/* The data with a copy: there are escapes, or the header has not been written. */
static ssize_t send_escaped(struct multiplex_framer *framer,
			    struct ostream_private *stream, uint8_t channel,
			    const unsigned char *data, size_t size)
{
	unsigned char *start, *dest;

	size = I_MIN(size, (size_t)MAX_ESCAPED_SIZE);
	start = dest = reserve(framer, stream,
			       MULTIPLEX_STREAM_HEADER_SIZE + SWITCH_SIZE +
				       size * ESCAPED_BYTE_SIZE);
	if (dest == NULL)
		return -1;
	if (framer->header_due) {
		memcpy(dest, MULTIPLEX_STREAM_HEADER,
		       MULTIPLEX_STREAM_HEADER_SIZE);
		dest += MULTIPLEX_STREAM_HEADER_SIZE;
		framer->header_due = false;
	}
	dest = put_switch(framer, dest, channel);
	framer->channel = channel;
	dest = put_escaped(dest, data, size);
	byte_queue_add(&framer->unsent, (size_t)(dest - start));
	return multiplex_framer_flush(framer, stream) < 0 ? -1 : (ssize_t)size;
}

static ssize_t send_stream(struct multiplex_framer *framer,
			   struct ostream_private *stream, uint8_t channel,
			   const unsigned char *data, size_t size)
{
	unsigned char head[SWITCH_SIZE];
	struct const_iovec iov[2] = { { head, 0 } };
	int ret;

	size = good_size(stream, size);
	if (framer->header_due || multiplex_plain_size(data, size) < size)
		return send_escaped(framer, stream, channel, data, size);
	iov[0].iov_len = (size_t)(put_switch(framer, head, channel) - head);
	iov[1].iov_base = data;
	iov[1].iov_len = size;
	ret = send_parts(framer, stream, iov);
	if (ret <= 0)
		return ret;
	framer->channel = channel;
	return (ssize_t)size;
}

ssize_t multiplex_framer_send(struct multiplex_framer *framer,
			      struct ostream_private *stream, uint8_t channel,
			      const unsigned char *data, size_t size)
{
	return framer->format == OSTREAM_MULTIPLEX_FORMAT_PACKET ?
		send_packet(framer, stream, channel, data, size) :
		send_stream(framer, stream, channel, data, size);
}
