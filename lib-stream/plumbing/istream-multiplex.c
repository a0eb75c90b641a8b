/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Several streams out of one parent, in either of the two formats. A read of a
   channel takes what the parent has next: its own bytes go where they are read, those
   of another channel wait there, and those of no channel are dropped. */

#include "config.h"
#include "byte-queue.h"
#include "istream-private.h"
#include "plumbing/multiplex-format.h"

#include <errno.h>
#include <string.h>

struct multiplex_ichannel {
	struct istream_private istream;
	struct multiplex_istream *multiplex;
	struct multiplex_ichannel *next;
	/* came while another channel was read; apart from the buffer, in which
	   nothing may move then */
	struct byte_queue waiting;
	uint8_t id;
};

enum multiplex_state {
	MULTIPLEX_PACKET_HEADER, /* also before the format is known */
	MULTIPLEX_PACKET_DATA,
	MULTIPLEX_STREAM_DATA,
	MULTIPLEX_STREAM_ESCAPE_1, /* seen */
	MULTIPLEX_STREAM_ESCAPE_2,
	MULTIPLEX_STREAM_CHANNEL
};

struct multiplex_istream {
	unsigned int refcount; /* channels that are not freed */
	struct istream *parent;
	size_t bufsize;
	struct multiplex_ichannel *channels; /* the open ones */

	enum multiplex_state state;
	unsigned char header[MULTIPLEX_STREAM_HEADER_SIZE];
	unsigned int header_size;
	uint32_t packet_left;
	uint8_t current_id;
	/* whose bytes are next, NULL: nobody's */
	struct multiplex_ichannel *current;

	bool format_known, ended;
	int error_errno;
	char *error;
};

static struct multiplex_ichannel *ichannel(struct istream_private *stream)
{
	return container_of(stream, struct multiplex_ichannel, istream);
}

/* No loop sees that channels other than this one have something to read now, be it
   the end. */
static void wake_others(const struct multiplex_istream *multiplex,
			const struct multiplex_ichannel *reader)
{
	struct multiplex_ichannel *channel;

	for (channel = multiplex->channels; channel != NULL;
	     channel = channel->next) {
		if (channel != reader)
			i_stream_set_input_pending(&channel->istream.istream,
						   true);
	}
}

static void ATTR_FORMAT(3, 4) fail_all(struct multiplex_istream *multiplex,
				       int error_errno, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	multiplex->error_errno = error_errno;
	multiplex->error = i_strdup_vprintf(fmt, args);
	va_end(args);
	wake_others(multiplex, NULL);
}

static const char *parent_name(const struct multiplex_istream *multiplex)
{
	return i_stream_get_name(multiplex->parent);
}

static void set_current(struct multiplex_istream *multiplex, uint8_t id)
{
	struct multiplex_ichannel *channel = multiplex->channels;

	while (channel != NULL && channel->id != id)
		channel = channel->next;
	multiplex->current_id = id;
	multiplex->current = channel;
}

/*
 * Data
 */

static size_t copy_to_reader(struct istream_private *reader,
			     const unsigned char *data, size_t size)
{
	unsigned char *dest;
	size_t room;

	dest = i_stream_reserve(reader, size, &room);
	if (dest == NULL)
		return 0;
	size = I_MIN(size, room);
	memcpy(dest, data, size);
	reader->pos += size;
	return size;
}

static size_t copy_to_waiting(struct multiplex_ichannel *channel,
			      const unsigned char *data, size_t size)
{
	size_t max = channel->istream.max_buffer_size;
	unsigned char *dest;

	size = I_MIN(size,
		     max - I_MIN(max, byte_queue_used(&channel->waiting)));
	if (size == 0)
		return 0;
	dest = byte_queue_reserve(&channel->waiting, size);
	if (dest == NULL) {
		fail_all(channel->multiplex, ENOMEM, "%s: out of memory",
			 parent_name(channel->multiplex));
		return 0;
	}
	memcpy(dest, data, size);
	if (byte_queue_used(&channel->waiting) == 0)
		i_stream_set_input_pending(&channel->istream.istream, true);
	byte_queue_add(&channel->waiting, size);
	return size;
}

/* How many of these bytes of the current channel were taken; 0: it is full. */
static size_t deliver(struct multiplex_istream *multiplex,
		      struct multiplex_ichannel *reader,
		      const unsigned char *data, size_t size)
{
	if (multiplex->current == NULL)
		return size;
	if (multiplex->current == reader)
		return copy_to_reader(&reader->istream, data, size);
	return copy_to_waiting(multiplex->current, data, size);
}

/*
 * The formats: each function takes some of the parent's bytes (size > 0) and returns
 * how many, 0 where a channel is full
 */

static size_t take_packet_data(struct multiplex_istream *multiplex,
			       struct multiplex_ichannel *reader,
			       const unsigned char *data, size_t size)
{
	size_t taken = deliver(multiplex, reader, data,
			       I_MIN(size, (size_t)multiplex->packet_left));

	multiplex->packet_left -= (uint32_t)taken;
	if (multiplex->packet_left == 0)
		multiplex->state = MULTIPLEX_PACKET_HEADER;
	return taken;
}

static void begin_packet(struct multiplex_istream *multiplex)
{
	const unsigned char *header = multiplex->header;

	multiplex->format_known = true;
	multiplex->header_size = 0;
	multiplex->packet_left = (uint32_t)header[1] << 24 |
		(uint32_t)header[2] << 16 | (uint32_t)header[3] << 8 |
		(uint32_t)header[4];
	if (multiplex->packet_left > 0)
		multiplex->state = MULTIPLEX_PACKET_DATA;
	set_current(multiplex, header[0]);
}

/* What the first bytes are tells the format. */
static bool is_stream(const struct multiplex_istream *multiplex)
{
	return !multiplex->format_known &&
		memcmp(multiplex->header, MULTIPLEX_STREAM_HEADER,
		       MULTIPLEX_PACKET_HEADER_SIZE) == 0;
}

static void begin_stream(struct multiplex_istream *multiplex)
{
	const unsigned char *header = multiplex->header;

	if (memcmp(header, MULTIPLEX_STREAM_HEADER,
		   MULTIPLEX_STREAM_HEADER_SIZE) != 0) {
		fail_all(multiplex, EINVAL,
			 "%s: the multiplexed stream has an unknown version: "
			 "its header goes on with %02x %02x %02x %02x",
			 parent_name(multiplex), header[5], header[6],
			 header[7], header[8]);
		return;
	}
	multiplex->format_known = true;
	multiplex->header_size = 0;
	multiplex->state = MULTIPLEX_STREAM_DATA;
}

static size_t take_header(struct multiplex_istream *multiplex,
			  const unsigned char *data, size_t size)
{
	unsigned int have = multiplex->header_size, want;

	want = have < MULTIPLEX_PACKET_HEADER_SIZE ?
		MULTIPLEX_PACKET_HEADER_SIZE :
		(unsigned int)MULTIPLEX_STREAM_HEADER_SIZE;
	size = I_MIN(size, (size_t)(want - have));
	memcpy(multiplex->header + have, data, size);
	multiplex->header_size += (unsigned int)size;
	if (multiplex->header_size == MULTIPLEX_PACKET_HEADER_SIZE &&
	    !is_stream(multiplex))
		begin_packet(multiplex);
	else if (multiplex->header_size == MULTIPLEX_STREAM_HEADER_SIZE)
		begin_stream(multiplex);
	return size;
}

static size_t take_stream_data(struct multiplex_istream *multiplex,
			       struct multiplex_ichannel *reader,
			       const unsigned char *data, size_t size)
{
	size_t plain = multiplex_plain_size(data, size);

	if (plain > 0)
		return deliver(multiplex, reader, data, plain);
	multiplex->state = MULTIPLEX_STREAM_ESCAPE_1;
	return 1;
}

/* The byte that begins escapes, as data. */
static bool deliver_escape_1(struct multiplex_istream *multiplex,
			     struct multiplex_ichannel *reader)
{
	static const unsigned char byte = MULTIPLEX_ESCAPE_1;

	if (deliver(multiplex, reader, &byte, 1) == 0)
		return false;
	multiplex->state = MULTIPLEX_STREAM_DATA;
	return true;
}

static size_t take_escape(struct multiplex_istream *multiplex,
			  struct multiplex_ichannel *reader,
			  unsigned char meaning)
{
	switch (meaning) {
	case MULTIPLEX_ESCAPE_CHANNEL:
		multiplex->state = MULTIPLEX_STREAM_CHANNEL;
		return 1;
	case MULTIPLEX_ESCAPE_BYTE:
		return deliver_escape_1(multiplex, reader) ? 1 : 0;
	default:
		fail_all(multiplex, EINVAL,
			 "%s: the multiplexed stream has an unknown escape "
			 "(03 fe %02x) at offset %llu",
			 parent_name(multiplex), meaning,
			 (unsigned long long)multiplex->parent->v_offset);
		return 0;
	}
}

/* One step. True where it got on: bytes were taken, or the state has changed. */
static bool step(struct multiplex_istream *multiplex,
		 struct multiplex_ichannel *reader, const unsigned char *data,
		 size_t size)
{
	size_t taken = 0;

	switch (multiplex->state) {
	case MULTIPLEX_PACKET_HEADER:
		taken = take_header(multiplex, data, size);
		break;
	case MULTIPLEX_PACKET_DATA:
		taken = take_packet_data(multiplex, reader, data, size);
		break;
	case MULTIPLEX_STREAM_DATA:
		taken = take_stream_data(multiplex, reader, data, size);
		break;
	case MULTIPLEX_STREAM_ESCAPE_1:
		if (*data != MULTIPLEX_ESCAPE_2)
			return deliver_escape_1(multiplex, reader);
		multiplex->state = MULTIPLEX_STREAM_ESCAPE_2;
		taken = 1;
		break;
	case MULTIPLEX_STREAM_ESCAPE_2:
		taken = take_escape(multiplex, reader, *data);
		break;
	case MULTIPLEX_STREAM_CHANNEL:
		set_current(multiplex, *data);
		multiplex->state = MULTIPLEX_STREAM_DATA;
		taken = 1;
		break;
	}
	i_stream_skip(multiplex->parent, taken);
	return taken > 0;
}

/*
 * Reading
 */

static void parent_ended(struct multiplex_istream *multiplex)
{
	struct istream *parent = multiplex->parent;

	if (parent->stream_errno != 0)
		fail_all(multiplex, parent->stream_errno, "%s",
			 i_stream_get_error(parent));
	else if (multiplex->header_size > MULTIPLEX_PACKET_HEADER_SIZE &&
		 memcmp(multiplex->header, MULTIPLEX_STREAM_HEADER,
			multiplex->header_size) != 0)
		fail_all(multiplex, EINVAL,
			 "%s: the multiplexed stream has an unknown version, "
			 "and ends within its header",
			 parent_name(multiplex));
	else if (multiplex->header_size > 0)
		fail_all(multiplex, EPIPE,
			 "%s: the multiplexed data ends within a header",
			 parent_name(multiplex));
	else if (multiplex->packet_left > 0)
		fail_all(multiplex, EPIPE,
			 "%s: the multiplexed data ends %u bytes before the "
			 "end of a packet of channel %u",
			 parent_name(multiplex), multiplex->packet_left,
			 multiplex->current_id);
	else if (multiplex->state >= MULTIPLEX_STREAM_ESCAPE_1)
		fail_all(multiplex, EPIPE,
			 "%s: the multiplexed stream ends within an escape",
			 parent_name(multiplex));
	else
		multiplex->ended = true;
	wake_others(multiplex, NULL);
}

static ssize_t take_waiting(struct multiplex_ichannel *channel)
{
	size_t size;

	size = copy_to_reader(&channel->istream,
			      byte_queue_data(&channel->waiting),
			      byte_queue_used(&channel->waiting));
	if (size == 0)
		return channel->istream.istream.stream_errno != 0 ? -1 : -2;
	if (byte_queue_used(&channel->waiting) >=
	    channel->istream.max_buffer_size)
		/* what the others waited for, if they wait */
		wake_others(channel->multiplex, channel);
	byte_queue_skip(&channel->waiting, size);
	byte_queue_relax(&channel->waiting);
	return (ssize_t)size;
}

/* The end, or the error, that all channels have. */
static ssize_t end_of_all(struct multiplex_ichannel *channel)
{
	struct multiplex_istream *multiplex = channel->multiplex;

	if (multiplex->error_errno != 0)
		return i_stream_fail(&channel->istream, multiplex->error_errno,
				     "%s", multiplex->error);
	channel->istream.istream.eof = true;
	return -1;
}

static ssize_t i_stream_multiplex_read(struct istream_private *stream)
{
	struct multiplex_ichannel *channel = ichannel(stream);
	struct multiplex_istream *multiplex = channel->multiplex;
	size_t had = stream->pos - stream->skip, size;
	const unsigned char *data;
	int ret;

	if (byte_queue_used(&channel->waiting) > 0)
		return take_waiting(channel);
	if (had >= stream->max_buffer_size)
		return -2;
	while (multiplex->error_errno == 0 && !multiplex->ended) {
		ret = i_stream_read_more(multiplex->parent, &data, &size);
		if (ret == 0)
			return 0;
		if (ret < 0) {
			parent_ended(multiplex);
			break;
		}
		if (!step(multiplex, channel, data, size) &&
		    multiplex->error_errno == 0)
			/* no memory, or a full channel has to be read first */
			return stream->istream.stream_errno != 0 ? -1 : 0;
		if (stream->pos - stream->skip > had)
			return (ssize_t)(stream->pos - stream->skip - had);
	}
	return end_of_all(channel);
}

/* How much of the parent is this channel's, nobody knows. */
static int i_stream_multiplex_stat(struct istream_private *stream,
				   bool exact ATTR_UNUSED)
{
	memset(&stream->statbuf, 0, sizeof(stream->statbuf));
	stream->statbuf.st_size = -1;
	return 0;
}

/*
 * Life cycle
 */

static void i_stream_multiplex_close(struct iostream_private *stream,
				     bool close_parent)
{
	struct multiplex_ichannel *channel = container_of(
		stream, struct multiplex_ichannel, istream.iostream);
	struct multiplex_istream *multiplex = channel->multiplex;
	struct multiplex_ichannel **pos = &multiplex->channels;

	while (*pos != channel)
		pos = &(*pos)->next;
	*pos = channel->next;
	if (multiplex->current == channel)
		multiplex->current = NULL;
	byte_queue_free(&channel->waiting);
	if (close_parent && multiplex->channels == NULL)
		i_stream_close(multiplex->parent);
}

static void i_stream_multiplex_destroy(struct iostream_private *stream)
{
	struct multiplex_ichannel *channel = container_of(
		stream, struct multiplex_ichannel, istream.iostream);
	struct multiplex_istream *multiplex = channel->multiplex;

	if (--multiplex->refcount > 0)
		return;
	i_free(multiplex->error);
	i_free(multiplex);
}

static struct istream *add_channel(struct multiplex_istream *multiplex,
				   uint8_t id)
{
	struct multiplex_ichannel **pos = &multiplex->channels, *channel;
	struct istream *stream;

	while (*pos != NULL) {
		i_assert((*pos)->id != id);
		pos = &(*pos)->next;
	}
	channel = i_new(struct multiplex_ichannel, 1);
	*pos = channel;
	channel->multiplex = multiplex;
	multiplex->refcount++;
	channel->id = id;
	if (multiplex->current_id == id)
		multiplex->current = channel;
	channel->istream.iostream.close = i_stream_multiplex_close;
	channel->istream.iostream.destroy = i_stream_multiplex_destroy;
	channel->istream.read = i_stream_multiplex_read;
	channel->istream.stat = i_stream_multiplex_stat;
	channel->istream.max_buffer_size = multiplex->bufsize;
	stream = i_stream_create(&channel->istream, multiplex->parent, -1);
	/* a channel that is full makes the others wait, whatever the input is */
	stream->blocking = false;
	stream->readable_fd = false;
	stream->seekable = false;
	return stream;
}

struct istream *i_stream_create_multiplex(struct istream *input, size_t bufsize)
{
	struct multiplex_istream *multiplex =
		i_new(struct multiplex_istream, 1);

	/* every channel holds a reference on it */
	multiplex->parent = input;
	multiplex->bufsize = bufsize == 0 ? IO_BLOCK_SIZE : bufsize;
	return add_channel(multiplex, 0);
}

static struct multiplex_ichannel *get_channel(struct istream *stream)
{
	i_assert(stream->real_stream->read == i_stream_multiplex_read);
	return ichannel(stream->real_stream);
}

struct istream *i_stream_multiplex_add_channel(struct istream *stream,
					       uint8_t cid)
{
	return add_channel(get_channel(stream)->multiplex, cid);
}

uint8_t i_stream_multiplex_get_channel_id(struct istream *stream)
{
	return get_channel(stream)->id;
}
