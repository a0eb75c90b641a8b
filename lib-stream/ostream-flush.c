/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Flushing, corking, and what waits for room: whatever the class. */

#include "config.h"
#include "ostream-private.h"

#include <errno.h>

void o_stream_note_time(struct ostream_private *s)
{
	io_stream_get_time(&s->last_write_timeval);
	s->timed_offset = s->ostream.offset;
}

int o_stream_flush_mode(struct ostream_private *s, enum ostream_flush_mode mode)
{
	int ret;

	s->append.open = false;
	if (o_stream_has_failed(&s->ostream))
		return -1;
	if (s->timed_offset != s->ostream.offset && !s->in_memory)
		o_stream_note_time(s);
	if (s->noverflow)
		return o_stream_fail(s, ENOBUFS,
				     "Output stream buffer was full (%zu "
				     "bytes)",
				     s->max_buffer_size);
	if (s->parent != NULL && s->parent->stream_errno != 0) {
		o_stream_copy_error_from_parent(s);
		return -1;
	}
	/* a finish that was begun is what goes on */
	if (s->finished && mode != OSTREAM_PUSH)
		mode = s->finish_done ? OSTREAM_SYNC : OSTREAM_FINISH;
	ret = s->flush(s, mode);
	if (ret > 0 && mode == OSTREAM_FINISH)
		s->finish_done = true;
	return ret;
}

int o_stream_flush_to(struct ostream_private *stream, struct ostream *output,
		      enum ostream_flush_mode mode)
{
	int ret;

	if (mode == OSTREAM_FINISH) {
		if (o_stream_finish_reaches(stream, output))
			output->real_stream->finished = true;
		else
			mode = OSTREAM_SYNC;
	}
	ret = o_stream_flush_mode(output->real_stream, mode);
	if (ret < 0)
		o_stream_copy_error_from(stream, output);
	return ret;
}

int o_stream_flush_parent(struct ostream_private *stream,
			  enum ostream_flush_mode mode)
{
	return o_stream_flush_to(stream, stream->parent, mode);
}

int o_stream_flush(struct ostream *stream)
{
	o_stream_mark_checked(stream);
	return o_stream_flush_mode(stream->real_stream, OSTREAM_SYNC);
}

int o_stream_check(struct ostream *stream)
{
	o_stream_mark_checked(stream);
	return o_stream_flush_mode(stream->real_stream, OSTREAM_PUSH);
}

int o_stream_finish(struct ostream *stream)
{
	o_stream_mark_checked(stream);
	stream->real_stream->append.open = false;
	stream->real_stream->finished = true;
	return o_stream_flush_mode(stream->real_stream, OSTREAM_FINISH);
}

void o_stream_set_finish_also_parent(struct ostream *stream, bool set)
{
	stream->real_stream->finish_also_parent = set;
}

void o_stream_set_finish_via_child(struct ostream *stream, bool set)
{
	stream->real_stream->finish_via_child = set;
}

/*
 * Corking
 */

/* The next stream that a cork of this one reaches. */
static struct ostream *cork_next(const struct ostream_private *s)
{
	return s->shares_parent ? NULL : s->parent;
}

/* Whose cork it is, where `by` asks for one. One that the user put on the stream itself
   stays that; else the last one counts. */
static void note_whose_cork(struct ostream_private *s, const struct ostream *by,
			    bool internal)
{
	if (!s->corked ||
	    (!internal && (s->corked_internal || s->corked_by != &s->ostream)))
		s->corked_by = by;
}

static void cork_chain(struct ostream *stream, bool internal)
{
	const struct ostream *by = stream;
	struct ostream_private *s;

	for (; stream != NULL; stream = cork_next(s)) {
		s = stream->real_stream;
		note_whose_cork(s, by, internal);
		if (!internal)
			s->corked_internal = false;
		if (s->corked)
			continue;
		s->corked = true;
		s->corked_internal = internal;
		s->cork(s, true);
	}
}

static void uncork_one(struct ostream_private *s)
{
	s->corked = s->corked_internal = false;
	s->append.open = false;
	s->cork(s, false);
}

static void uncork_chain(struct ostream *stream, bool internal)
{
	struct ostream_private *s;

	for (; stream != NULL; stream = cork_next(s)) {
		s = stream->real_stream;
		if (s->corked && (!internal || s->corked_internal))
			uncork_one(s);
	}
}

void o_stream_uncork_closed(struct ostream *stream)
{
	const struct ostream *closed = stream;
	struct ostream_private *s;

	if (!stream->real_stream->corked)
		return;
	for (; stream != NULL; stream = cork_next(s)) {
		s = stream->real_stream;
		if (s->corked && (stream == closed || s->corked_by == closed))
			uncork_one(s);
	}
}

void o_stream_cork(struct ostream *stream)
{
	if (!o_stream_has_failed(stream))
		cork_chain(stream, false);
}

void o_stream_uncork(struct ostream *stream)
{
	struct ostream_private *s = stream->real_stream;

	if (!s->corked)
		return;
	if (!o_stream_has_failed(stream) &&
	    o_stream_flush_mode(s, OSTREAM_SYNC) < 0)
		s->last_errors_not_checked = true;
	uncork_chain(stream, false);
}

void o_stream_cork_internal(struct ostream *stream)
{
	cork_chain(stream, true);
}

void o_stream_uncork_internal(struct ostream *stream)
{
	struct ostream_private *s = stream->real_stream;

	if (!o_stream_has_failed(stream) &&
	    o_stream_flush_mode(s, OSTREAM_PUSH) < 0)
		s->last_errors_not_checked = true;
	uncork_chain(stream, true);
}

bool o_stream_is_corked(struct ostream *stream)
{
	return stream->real_stream->corked;
}

/*
 * Buffers and the event loop
 */

void o_stream_set_max_buffer_size(struct ostream *stream, size_t max_size)
{
	struct iostream_private *io;

	for (; stream != NULL; stream = stream->real_stream->parent) {
		stream->real_stream->append.open = false;
		io = &stream->real_stream->iostream;
		io->set_max_buffer_size(io, max_size);
	}
}

size_t o_stream_get_max_buffer_size(struct ostream *stream)
{
	return stream->real_stream->max_buffer_size;
}

size_t o_stream_get_buffer_used_size(const struct ostream *stream)
{
	return stream->real_stream->get_buffer_used_size(stream->real_stream);
}

size_t o_stream_get_buffer_avail_size(const struct ostream *stream)
{
	return stream->real_stream->get_buffer_avail_size(stream->real_stream);
}

void bobbin_o_stream_set_flush_callback(struct ostream *stream,
					stream_flush_callback_t *callback,
					void *context)
{
	struct ostream_private *s = stream->real_stream;

	s->set_flush_callback(s, callback, context);
}

void o_stream_unset_flush_callback(struct ostream *stream)
{
	bobbin_o_stream_set_flush_callback(stream, NULL, NULL);
}

int o_stream_call_flush_callback(struct ostream_private *stream, int otherwise)
{
	if (stream->callback == NULL)
		return otherwise;
	return stream->callback(stream->context);
}

void o_stream_end_turn(struct ostream_private *stream)
{
	bool failed = stream->ostream.stream_errno != 0;

	if (stream->closing || stream->ostream.closed)
		return;
	o_stream_uncork_internal(&stream->ostream);
	/* a connection that is lost counts as closed */
	if (!failed && stream->ostream.stream_errno != 0)
		(void)o_stream_call_flush_callback(stream, 1);
}

void o_stream_set_flush_pending(struct ostream *stream, bool set)
{
	if (!stream->closed && stream->stream_errno == 0)
		stream->real_stream->flush_pending(stream->real_stream, set);
}

void o_stream_get_last_write_time(struct ostream *stream, struct timeval *tv_r)
{
	if (stream->real_stream->timed_offset != stream->offset)
		o_stream_note_time(stream->real_stream);
	*tv_r = stream->real_stream->last_write_timeval;
}

void o_stream_switch_ioloop_to(struct ostream *stream, struct ioloop *ioloop)
{
	stream->real_stream->switch_ioloop_to(stream->real_stream, ioloop);
}

void o_stream_switch_ioloop(struct ostream *stream)
{
	o_stream_switch_ioloop_to(stream, io_loop_get_current());
}
