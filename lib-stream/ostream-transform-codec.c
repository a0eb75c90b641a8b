/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The codec's side of the output adapter: one turn of it, and moving on what waits, which
   is latched until it is done. */

#include "config.h"
#include "ostream-transform-private.h"

#include <errno.h>

/* A window in the parent's buffer that is smaller is not worth having. */
#define MIN_WINDOW 512

/*
 * The codec's errors
 */

int transform_ostream_set_failure(struct transform_ostream *s, int error,
				  const char *text)
{
	if (s->failure_errno == 0) {
		s->failure_errno = error;
		s->failure = i_strdup(text);
	}
	return -1;
}

int transform_ostream_take_error(struct transform_ostream *s)
{
	const struct transform *t = s->transform;

	return transform_ostream_set_failure(
		s, t->error_errno != 0 ? t->error_errno : EIO,
		t->error != NULL ? t->error : "codec failed");
}

int transform_ostream_raise(struct transform_ostream *s)
{
	return o_stream_fail(
		&s->ostream, s->failure_errno,
		"%s: %s: %s (at byte %llu of the input, byte %llu "
		"of the output)",
		o_stream_get_name(&s->ostream.ostream), s->class_->name,
		s->failure,
		(unsigned long long)(s->taken_size - s->transform->error_left),
		(unsigned long long)s->given_size);
}

/*
 * One turn of the codec
 */

/* Never smaller than the codec needs, nor larger than the user wants or the
   codec likes. */
static size_t stage_limit(const struct transform_ostream *s)
{
	size_t size = transform_good_window(s->class_, IO_BLOCK_SIZE);

	size = I_MIN(size, s->ostream.max_buffer_size);
	return I_MAX(size, s->class_->min_out);
}

/* Where the codec may write: into the parent's buffer where it lends that,
   else into the stage. 1; 0: no room now; -1: no memory. */
static int get_window(struct transform_ostream *s, struct transform_io *io,
		      bool *lent_r)
{
	size_t used = byte_queue_used(&s->stage), room, size;

	*lent_r = false;
	if (used == 0) {
		size = I_MAX(s->class_->min_out, (size_t)MIN_WINDOW);
		io->out = o_stream_reserve(s->ostream.parent, size, &size);
		if (io->out != NULL) {
			io->out_end = io->out + size;
			*lent_r = true;
			return 1;
		}
	}
	room = stage_limit(s) - I_MIN(stage_limit(s), used);
	if (room < s->class_->min_out)
		return 0;
	io->out = byte_queue_reserve(&s->stage, room);
	if (io->out == NULL)
		return transform_ostream_set_failure(s, ENOMEM,
						     "out of memory");
	io->out_end = io->out + room;
	return 1;
}

/* Input behind a decoder's END: the next member, or an error. */
static int begin_member(struct transform_ostream *s, const unsigned char *in,
			size_t in_size)
{
	if ((s->class_->flags & TRANSFORM_MEMBERS) == 0 ||
	    !s->class_->may_begin(in, in_size))
		return transform_ostream_set_failure(s, EINVAL,
						     "data after the end");
	s->class_->reset(s->transform);
	s->unit_ended = false;
	s->status = TRANSFORM_NEED_IN;
	return 1;
}

int transform_ostream_turn(struct transform_ostream *s, const unsigned char *in,
			   size_t in_size, enum transform_op op,
			   size_t *consumed_r)
{
	struct transform_io io;
	unsigned char *out;
	enum transform_status status;
	bool lent;
	int ret;

	*consumed_r = 0;
	if (s->unit_ended && begin_member(s, in, in_size) < 0)
		return -1;
	ret = get_window(s, &io, &lent);
	if (ret <= 0)
		return ret;
	transform_no_input(&io);
	if (in_size > 0) {
		io.in = in;
		io.in_end = in + in_size;
	}
	in = io.in;
	out = io.out;
	status = transform_step(s->transform, &io, op, s->status);

	*consumed_r = (size_t)(io.in - in);
	if (lent)
		o_stream_commit(s->ostream.parent, (size_t)(io.out - out));
	else
		byte_queue_add(&s->stage, (size_t)(io.out - out));
	s->taken_size += *consumed_r;
	s->given_size += (uoff_t)(io.out - out);
	s->status = status;
	s->deferred = transform_defers(s->transform, status,
				       *consumed_r > 0 || io.out != out);
	if (status == TRANSFORM_ERROR)
		return transform_ostream_take_error(s);
	if (status == TRANSFORM_END)
		s->unit_ended = true;
	return 1;
}

/*
 * Moving on
 */

int transform_ostream_send_stage(struct transform_ostream *s)
{
	struct const_iovec iov;
	ssize_t ret;

	if (s->ostream.parent->stream_errno != 0) {
		o_stream_copy_error_from_parent(&s->ostream);
		return -1;
	}
	if (byte_queue_used(&s->stage) == 0)
		return 1;
	iov.iov_base = byte_queue_data(&s->stage);
	iov.iov_len = byte_queue_used(&s->stage);
	ret = o_stream_send_parent(&s->ostream, &iov, 1);
	if (ret < 0)
		return -1;
	byte_queue_skip(&s->stage, (size_t)ret);
	return byte_queue_used(&s->stage) == 0 ? 1 : 0;
}

/* Whether something waits for the codec; bytes that were only gathered count
   when there are enough of them, or with `all`. */
static bool has_work(const struct transform_ostream *s, bool all)
{
	size_t held = byte_queue_used(&s->hold);

	if (s->finish_written)
		return false;
	if (s->latched != TRANSFORM_RUN || s->status == TRANSFORM_NEED_OUT)
		return true;
	if (held == 0)
		return false;
	return all || held >= GATHER_SIZE || held >= s->ostream.max_buffer_size;
}

void transform_ostream_latch(struct transform_ostream *s, enum transform_op op)
{
	s->latched = op;
	s->latched_size = byte_queue_used(&s->hold);
	s->synced_offset = s->ostream.ostream.offset;
}

/* A decoder gets what is held as RUN first, and FINISH without input; at the
   border of a unit there is nothing to finish. */
static int finish_decoder(struct transform_ostream *s)
{
	size_t consumed;
	int ret = 1;

	if (!s->unit_ended)
		ret = transform_ostream_turn(s, NULL, 0, TRANSFORM_FINISH,
					     &consumed);
	if (ret > 0 && s->status == TRANSFORM_NEED_IN)
		ret = transform_ostream_set_failure(s, EPIPE,
						    "the data ends too early");
	if (ret > 0 && s->unit_ended)
		s->finish_written = true;
	return ret;
}

/* One turn with what is held, and with the latched operation. */
static int codec_work(struct transform_ostream *s)
{
	size_t size = byte_queue_used(&s->hold), consumed;
	enum transform_op op = s->latched;
	int ret;

	if (transform_ostream_is_decoder(s)) {
		if (size == 0 && op == TRANSFORM_FINISH)
			return finish_decoder(s);
		op = TRANSFORM_RUN;
	} else if (op != TRANSFORM_RUN) {
		size = s->latched_size;
	}
	ret = transform_ostream_turn(s, byte_queue_data(&s->hold), size, op,
				     &consumed);
	byte_queue_skip(&s->hold, consumed);
	s->latched_size -= I_MIN(s->latched_size, consumed);
	if (ret > 0 && s->status == TRANSFORM_DONE) {
		s->finish_written = op == TRANSFORM_FINISH;
		s->latched = TRANSFORM_RUN;
	}
	return ret;
}

int transform_ostream_drain(struct transform_ostream *s, bool all)
{
	int ret;

	for (;;) {
		ret = transform_ostream_send_stage(s);
		if (ret < 0)
			return -1;
		if (s->failure_errno != 0)
			return ret == 0 ? 0 : transform_ostream_raise(s);
		if (!has_work(s, all))
			return ret;
		if (codec_work(s) == 0)
			return 0;
	}
}
