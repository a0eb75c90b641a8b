/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "test-stream-common.h"

#include "istream-private.h"
#include "ostream-private.h"

#include <stdlib.h>

/*
 * Sink
 */

struct sink_ostream {
	struct ostream_private ostream;
	struct test_sink *sink;
};

static struct test_sink *get_sink(struct ostream_private *stream)
{
	return container_of(stream, struct sink_ostream, ostream)->sink;
}

static ssize_t sink_sendv(struct ostream_private *stream,
			  const struct const_iovec *iov, unsigned int count)
{
	struct test_sink *sink = get_sink(stream);
	size_t left = sink->room, len, total = 0;
	unsigned int i;

	sink->sends++;
	if (sink->step > 0)
		left = I_MIN(left, sink->step);
	for (i = 0; i < count && left > 0; i++) {
		len = I_MIN(iov[i].iov_len, left);
		buffer_append(sink->data, iov[i].iov_base, len);
		left -= len;
		total += len;
	}
	if (sink->room != SIZE_MAX)
		sink->room -= total;
	return (ssize_t)total;
}

static int sink_flush(struct ostream_private *stream,
		      enum ostream_flush_mode mode)
{
	if (mode == OSTREAM_FINISH)
		get_sink(stream)->finishes++;
	else if (mode == OSTREAM_SYNC)
		get_sink(stream)->flushes++;
	return 1;
}

static size_t sink_avail(const struct ostream_private *stream)
{
	return ((const struct sink_ostream *)(const void *)stream)->sink->room;
}

struct test_sink *test_sink_create(size_t room, size_t step)
{
	struct test_sink *sink = calloc(1, sizeof(*sink));
	struct sink_ostream *s = i_new(struct sink_ostream, 1);

	assert_non_null(sink);
	sink->data = buffer_create_dynamic(default_pool, 1024);
	sink->room = room;
	sink->step = step;
	s->sink = sink;
	s->ostream.max_buffer_size = IO_BLOCK_SIZE;
	s->ostream.sendv = sink_sendv;
	s->ostream.flush = sink_flush;
	s->ostream.get_buffer_avail_size = sink_avail;
	sink->stream = o_stream_create(&s->ostream, NULL, -1);
	o_stream_set_name(sink->stream, "(sink)");
	return sink;
}

void test_sink_allow(struct test_sink *sink, size_t room)
{
	sink->room += room;
}

void test_sink_free(struct test_sink **_sink)
{
	struct test_sink *sink = *_sink;

	*_sink = NULL;
	o_stream_destroy(&sink->stream);
	buffer_free(&sink->data);
	free(sink);
}

/*
 * Trickle
 */

struct trickle_istream {
	struct istream_private istream;
	const unsigned char *data;
	size_t size, step;
	bool pauses, pause_next;
};

static ssize_t trickle_read(struct istream_private *stream)
{
	struct trickle_istream *t =
		container_of(stream, struct trickle_istream, istream);
	uoff_t pos = stream->istream.v_offset + (stream->pos - stream->skip);
	unsigned char *dest;
	size_t size;

	if (pos >= t->size) {
		stream->istream.eof = true;
		return -1;
	}
	if (t->pause_next) {
		t->pause_next = false;
		return 0;
	}
	dest = i_stream_reserve(stream, t->step, &size);
	if (dest == NULL)
		return -2;
	size = I_MIN(size, I_MIN(t->step, t->size - (size_t)pos));
	memcpy(dest, t->data + pos, size);
	stream->pos += size;
	t->pause_next = t->pauses;
	return (ssize_t)size;
}

static void trickle_seek(struct istream_private *stream, uoff_t v_offset,
			 bool mark ATTR_UNUSED)
{
	i_stream_reset_buffer(stream, v_offset);
}

static int trickle_stat(struct istream_private *stream, bool exact ATTR_UNUSED)
{
	struct trickle_istream *t =
		container_of(stream, struct trickle_istream, istream);

	memset(&stream->statbuf, 0, sizeof(stream->statbuf));
	stream->statbuf.st_size = (off_t)t->size;
	return 0;
}

struct istream *test_trickle_create(const void *data, size_t size, size_t step,
				    bool pauses)
{
	struct trickle_istream *t = i_new(struct trickle_istream, 1);
	struct istream *stream;

	t->data = data;
	t->size = size;
	t->step = step;
	t->pauses = pauses;
	t->istream.max_buffer_size = IO_BLOCK_SIZE;
	t->istream.read = trickle_read;
	t->istream.seek = trickle_seek;
	t->istream.stat = trickle_stat;
	stream = i_stream_create(&t->istream, NULL, -1);
	stream->blocking = !pauses;
	stream->seekable = true;
	i_stream_set_name(stream, "(trickle)");
	return stream;
}

int test_read_all(struct istream *input, buffer_t *out)
{
	const unsigned char *data;
	size_t size;
	int ret;

	while ((ret = i_stream_read_more(input, &data, &size)) >= 0) {
		if (ret == 0) {
			assert_false(input->blocking);
			continue;
		}
		buffer_append(out, data, size);
		i_stream_skip(input, size);
	}
	assert_int_equal(ret, -1);
	assert_true(input->eof);
	return input->stream_errno;
}
