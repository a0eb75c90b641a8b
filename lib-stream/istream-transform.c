/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Any transform as an input stream. The codec writes straight into the
   stream's buffer where that has room for it, else into `stage`. Seeking only
   notes where reading is to go on; the next read goes there: forward by
   dropping what it decodes, backward from the beginning or from where the
   codec can locate a nearer point. */

#include "config.h"
#include "istream-transform-private.h"

#include <errno.h>
#include <string.h>

static struct transform_istream *transform_istream(struct istream_private *s)
{
	return container_of(s, struct transform_istream, istream);
}

static void i_stream_transform_keep_limits(struct istream_private *stream,
					   uoff_t max_plain,
					   unsigned int max_ratio)
{
	struct transform_istream *s = transform_istream(stream);

	s->max_plain = max_plain;
	s->max_ratio = max_ratio;
}

void i_stream_transform_set_limits(struct istream *stream, uoff_t max_plain,
				   unsigned int max_ratio)
{
	struct istream_private *s = stream->real_stream;

	i_assert(s->set_limits != NULL);
	s->set_limits(s, max_plain, max_ratio);
}

/*
 * Reading
 */

/* The offset behind what is buffered: where the next byte given to the reader
   belongs. */
static uoff_t reader_pos(const struct transform_istream *s)
{
	const struct istream_private *stream = &s->istream;

	return stream->istream.v_offset + (stream->pos - stream->skip);
}

/* Fills the empty stage: as transform_istream_decode(). */
static ssize_t fill_stage(struct transform_istream *s)
{
	size_t size = transform_good_window(s->class_, IO_BLOCK_SIZE);
	struct transform_io io;
	ssize_t ret;

	io.out = byte_queue_reserve(&s->stage, size);
	if (io.out == NULL) {
		transform_istream_set_failure(s, ENOMEM, "out of memory");
		return -1;
	}
	io.out_end = io.out + size;
	ret = transform_istream_decode(s, &io);
	if (ret > 0)
		byte_queue_add(&s->stage, (size_t)ret);
	return ret;
}

/* Drops decoded bytes that lie before where the reader is. 1, or as
   transform_istream_decode(). */
static ssize_t drop_until_reader(struct transform_istream *s)
{
	uoff_t missing, staged;
	ssize_t ret;

	for (;;) {
		staged = byte_queue_used(&s->stage);
		missing = reader_pos(s) - (s->plain_pos - staged);
		byte_queue_skip(&s->stage, (size_t)I_MIN(missing, staged));
		if (missing <= staged)
			return 1;
		ret = fill_stage(s);
		if (ret <= 0)
			return ret;
	}
}

static ssize_t end_or_failure(struct transform_istream *s)
{
	struct istream_private *stream = &s->istream;

	if (s->failure_errno != 0)
		return transform_istream_raise(s);
	s->known_size = s->plain_pos;
	stream->istream.eof = true;
	return -1;
}

static ssize_t read_from_stage(struct transform_istream *s, unsigned char *dest,
			       size_t size)
{
	size = I_MIN(size, byte_queue_used(&s->stage));
	memcpy(dest, byte_queue_data(&s->stage), size);
	byte_queue_skip(&s->stage, size);
	s->istream.pos += size;
	return (ssize_t)size;
}

static ssize_t i_stream_transform_read(struct istream_private *stream)
{
	struct transform_istream *s = transform_istream(stream);
	size_t wanted = transform_good_window(s->class_, IO_BLOCK_SIZE), size;
	struct transform_io io;
	ssize_t ret;

	ret = drop_until_reader(s);
	if (ret <= 0)
		return ret == 0 ? 0 : end_or_failure(s);
	if (s->finished && byte_queue_used(&s->stage) == 0)
		return end_or_failure(s);
	if (stream->data_limit > 0)
		wanted = I_MIN(wanted, stream->data_limit);
	io.out = i_stream_reserve(stream, wanted, &size);
	if (io.out == NULL)
		return stream->istream.stream_errno != 0 ? -1 : -2;
	if (byte_queue_used(&s->stage) > 0) {
		ret = read_from_stage(s, io.out, size);
	} else if (size >= s->class_->min_out) {
		io.out_end = io.out + size;
		ret = transform_istream_decode(s, &io);
		if (ret > 0)
			stream->pos += (size_t)ret;
	} else {
		unsigned char *dest = io.out;

		ret = fill_stage(s);
		if (ret > 0)
			ret = read_from_stage(s, dest, size);
	}
	byte_queue_relax(&s->stage);
	return ret < 0 ? end_or_failure(s) : ret;
}

/*
 * Seeking and sizes
 */

static void restart_at(struct transform_istream *s, uoff_t encoded_offset,
		       uoff_t plain_offset)
{
	byte_queue_free(&s->stage);
	s->status = TRANSFORM_NEED_IN;
	s->unit_ended = false;
	s->parent_ended = false;
	s->finished = false;
	s->astray = false;
	s->plain_pos = plain_offset;
	s->istream.parent_expected_offset =
		s->istream.parent_start_offset + encoded_offset;
}

/* From the beginning, whatever happened before. */
static void start_over(struct transform_istream *s)
{
	/* a codec that still has its error would fail at once */
	transform_clear_error(s->transform);
	s->class_->reset(s->transform);
	s->failure_errno = 0;
	i_free_and_null(s->failure);
	restart_at(s, 0, 0);
}

/* The codec may be behind what has changed: all of it is another text then. */
static void i_stream_transform_sync(struct istream_private *stream)
{
	struct transform_istream *s = transform_istream(stream);

	i_stream_sync(stream->parent);
	if (!stream->istream.seekable)
		return;
	i_stream_reset_buffer(stream, stream->istream.v_offset);
	s->vouched = false;
	s->known_size = UOFF_T_MAX;
	start_over(s);
}

static bool encoded_size(struct transform_istream *s, uoff_t *size_r)
{
	uoff_t start = s->istream.parent_start_offset;

	if (!s->istream.parent->seekable ||
	    i_stream_get_size(s->istream.parent, true, size_r) <= 0 ||
	    *size_r < start)
		return false;
	*size_r -= start;
	return true;
}

/* Reads what must be read before the size, or the end, may be believed; the
   position is lost. 1: known_size is set; 0: the codec cannot; -1: a failure
   was set. */
static int vouch_for_size(struct transform_istream *s, uoff_t size)
{
	struct transform_point point;
	ssize_t ret;

	ret = s->class_->vouch(s->transform, size, &point);
	if (ret < 0) {
		transform_istream_take_error(s);
		s->astray = true;
	}
	if (ret <= 0)
		return (int)ret;
	restart_at(s, point.encoded_offset, 0);
	s->astray = true;
	while ((ret = fill_stage(s)) > 0)
		byte_queue_skip(&s->stage, byte_queue_used(&s->stage));
	byte_queue_relax(&s->stage);
	if (ret == 0 || s->failure_errno != 0)
		return ret == 0 ? 0 : -1;
	s->vouched = true;
	s->known_size = point.plain_offset;
	return 1;
}

/* Makes sure that the codec can be asked for places: that it has seen the
   beginning, and that the end is what it claims to be. 1, 0 or -1 as above. */
static int prepare_random_access(struct transform_istream *s, uoff_t *size_r)
{
	if (s->class_->locate == NULL || s->failure_errno != 0 ||
	    !encoded_size(s, size_r))
		return 0;
	if (s->vouched)
		return 1;
	if (transform_istream_encoded_pos(s) == 0 && fill_stage(s) <= 0)
		return s->failure_errno != 0 ? -1 : 0;
	return vouch_for_size(s, *size_r);
}

/* Jumps near v_offset where the codec has random access. */
static bool try_locate(struct transform_istream *s, uoff_t v_offset)
{
	struct transform_point point;
	uoff_t size;
	int ret;

	ret = prepare_random_access(s, &size);
	if (ret <= 0)
		return ret < 0;
	ret = s->class_->locate(s->transform, v_offset, size, &point);
	if (ret < 0) {
		transform_istream_take_error(s);
		s->astray = true;
	}
	if (ret > 0)
		restart_at(s, point.encoded_offset, point.plain_offset);
	return ret != 0;
}

static uoff_t next_pos(const struct transform_istream *s)
{
	return s->plain_pos - byte_queue_used(&s->stage);
}

static bool is_ahead(const struct transform_istream *s, uoff_t v_offset)
{
	return !s->astray && v_offset >= next_pos(s);
}

static void i_stream_transform_seek(struct istream_private *stream,
				    uoff_t v_offset, bool mark ATTR_UNUSED)
{
	struct transform_istream *s = transform_istream(stream);

	i_stream_reset_buffer(stream, v_offset);
	/* near and ahead: the next read gets there by decoding */
	if (is_ahead(s, v_offset) && v_offset - next_pos(s) <= IO_BLOCK_SIZE)
		return;
	if (try_locate(s, v_offset) || is_ahead(s, v_offset))
		return;
	if (!stream->istream.seekable) {
		(void)i_stream_fail(stream, ESPIPE,
				    "%s: %s: cannot seek backwards",
				    i_stream_get_name(&stream->istream),
				    s->class_->name);
		return;
	}
	start_over(s);
}

/* Finds the size by reading on to the end. */
static void read_through(struct istream *stream)
{
	do {
		i_stream_skip(stream, i_stream_get_data_size(stream));
	} while (i_stream_read(stream) > 0);
}

/* The size is not to be had: who clears the error goes on where he was. */
static void return_behind_error(struct transform_istream *s, uoff_t v_offset)
{
	if (!s->istream.istream.seekable)
		return;
	i_stream_reset_buffer(&s->istream, v_offset);
	start_over(s);
}

static int i_stream_transform_get_size(struct istream_private *stream,
				       bool exact, uoff_t *size_r)
{
	struct transform_istream *s = transform_istream(stream);
	uoff_t old_offset = stream->istream.v_offset, size;
	int ret;

	if (s->known_size == UOFF_T_MAX && exact && stream->istream.seekable) {
		ret = prepare_random_access(s, &size);
		if (ret == 0 && s->astray)
			start_over(s);
		if (ret <= 0)
			read_through(&stream->istream);
		if (stream->istream.stream_errno != 0) {
			return_behind_error(s, old_offset);
			return -1;
		}
		stream->istream.eof = false;
		i_stream_transform_seek(stream, old_offset, false);
	}
	if (s->failure_errno != 0 && s->known_size == UOFF_T_MAX && exact)
		return (int)transform_istream_raise(s);
	if (s->known_size == UOFF_T_MAX)
		return 0;
	*size_r = s->known_size;
	return 1;
}

static int i_stream_transform_stat(struct istream_private *stream, bool exact)
{
	const struct stat *st;
	uoff_t size = 0;
	int ret;

	if (i_stream_stat(stream->parent, false, &st) < 0) {
		i_stream_copy_error_from_parent(stream);
		return -1;
	}
	stream->statbuf = *st;
	ret = i_stream_transform_get_size(stream, exact, &size);
	if (ret < 0)
		return -1;
	if (ret > 0)
		stream->statbuf.st_size = (off_t)size;
	else if (exact)
		stream->statbuf.st_size = -1;
	return 0;
}

static void i_stream_transform_switch_ioloop_to(struct istream_private *stream,
						struct ioloop *ioloop)
{
	struct transform_istream *s = transform_istream(stream);
	bool watched = s->worker_io != NULL;

	stream->iostream.ioloop = ioloop;
	i_stream_switch_ioloop_to(stream->parent, ioloop);
	io_remove(&s->worker_io);
	if (watched)
		(void)transform_istream_watch_worker(s);
}

static void i_stream_transform_close(struct iostream_private *stream,
				     bool close_parent)
{
	struct transform_istream *s = container_of(
		stream, struct transform_istream, istream.iostream);

	io_remove(&s->worker_io);
	if (close_parent)
		i_stream_close(s->istream.parent);
}

static void i_stream_transform_destroy(struct iostream_private *stream)
{
	struct transform_istream *s = container_of(
		stream, struct transform_istream, istream.iostream);

	io_remove(&s->worker_io);
	byte_queue_free(&s->stage);
	transform_free(&s->transform);
	i_free(s->failure);
}

struct istream *i_stream_create_transform(struct istream *input,
					  struct transform *transform)
{
	struct transform_istream *s = i_new(struct transform_istream, 1);
	const struct transform_class *class_ = transform->class_;
	struct istream *stream;

	s->transform = transform;
	s->class_ = class_;
	s->status = TRANSFORM_NEED_IN;
	s->known_size = UOFF_T_MAX;
	s->stage.secret = (class_->flags & TRANSFORM_AUTHENTICATED) != 0 &&
		transform_istream_is_decoder(s);
	s->istream.iostream.close = i_stream_transform_close;
	s->istream.iostream.destroy = i_stream_transform_destroy;
	s->istream.switch_ioloop_to = i_stream_transform_switch_ioloop_to;
	s->istream.set_limits = i_stream_transform_keep_limits;
	s->istream.read = i_stream_transform_read;
	s->istream.seek = i_stream_transform_seek;
	s->istream.sync = i_stream_transform_sync;
	s->istream.stat = i_stream_transform_stat;
	s->istream.get_size = i_stream_transform_get_size;
	stream = i_stream_create(&s->istream, input, -1);
	stream->readable_fd = false;
	/* what an encoder writes anew may be other bytes (age) */
	stream->seekable = input->seekable &&
		(transform_istream_is_decoder(s) ||
		 (class_->flags & TRANSFORM_UNFRAMED) != 0);
	if (transform->error_errno != 0)
		transform_istream_take_error(s);
	return stream;
}
