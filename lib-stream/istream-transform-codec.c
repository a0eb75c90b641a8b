/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The codec's side of the input adapter: what it gets, what becomes of its answers, and
   how much may come out of it. */

#include "config.h"
#include "file-ops.h"
#include "istream-transform-private.h"

#include <errno.h>

/* Ratios are judged beyond this many bytes of plain data. */
#define RATIO_GRACE 65536

/*
 * Errors
 */

void transform_istream_set_failure(struct transform_istream *s, int error,
				   const char *text)
{
	if (s->failure_errno == 0) {
		s->failure_errno = error;
		s->failure = i_strdup(text);
	}
}

void transform_istream_take_error(struct transform_istream *s)
{
	const struct transform *t = s->transform;

	transform_istream_set_failure(
		s, t->error_errno != 0 ? t->error_errno : EIO,
		t->error != NULL ? t->error : "codec failed");
}

ssize_t transform_istream_raise(struct transform_istream *s)
{
	if (s->failure == NULL) {
		i_stream_copy_error_from_parent(&s->istream);
		return -1;
	}
	return i_stream_fail(
		&s->istream, s->failure_errno,
		"%s: %s: %s (at byte %llu of the input, byte %llu "
		"of the output)",
		i_stream_get_name(&s->istream.istream), s->class_->name,
		s->failure,
		(unsigned long long)(transform_istream_encoded_pos(s) -
				     s->transform->error_left),
		(unsigned long long)s->plain_pos);
}

/*
 * Limits
 */

/* How many more bytes may come out, counted over all members. */
static uoff_t plain_allowance(const struct transform_istream *s)
{
	uoff_t max = UOFF_T_MAX, by_ratio;

	if (s->max_plain != 0)
		max = s->max_plain;
	if (s->max_ratio != 0) {
		by_ratio = transform_istream_encoded_pos(s);
		by_ratio = by_ratio > UOFF_T_MAX / s->max_ratio ?
			UOFF_T_MAX :
			by_ratio * s->max_ratio;
		max = I_MIN(max, I_MAX(by_ratio, (uoff_t)RATIO_GRACE));
	}
	return max - I_MIN(max, s->plain_pos);
}

/*
 * One turn of the codec
 */

/* Decodes from in..in_end to out..out_end and acts on the answer; returns the
   bytes that came out. */
static size_t codec_turn(struct transform_istream *s, struct transform_io *io,
			 enum transform_op op)
{
	const unsigned char *in = io->in;
	unsigned char *out = io->out;
	enum transform_status status;
	size_t produced;
	uoff_t allowed;

	status = transform_step(s->transform, io, op, s->status);
	produced = (size_t)(io->out - out);
	s->status = status;
	s->deferred = transform_defers(s->transform, status,
				       io->in != in || produced > 0);
	if (io->in != in)
		i_stream_skip_parent(&s->istream, (size_t)(io->in - in));
	allowed = plain_allowance(s);
	if (produced > allowed) {
		produced = (size_t)allowed;
		transform_istream_set_failure(
			s, EFBIG, "the decoded data is larger than the limit");
	}
	s->plain_pos += produced;

	if (status == TRANSFORM_ERROR)
		transform_istream_take_error(s);
	else if (status == TRANSFORM_END || status == TRANSFORM_DONE)
		s->unit_ended = true;
	else if (status == TRANSFORM_NEED_IN && op == TRANSFORM_FINISH)
		transform_istream_set_failure(
			s, EPIPE,
			transform_istream_encoded_pos(s) == 0 ?
				"the input is empty" :
				"the input ends too early");
	return produced;
}

/* Behind the unit of a STOP class, and behind what an encoder finished, there is
   nothing to look at. */
static bool member_may_follow(const struct transform_istream *s)
{
	return transform_istream_is_decoder(s) &&
		(s->class_->flags & TRANSFORM_STOP) == 0;
}

/* What follows a unit: the next member (1), a clean end (0), or an error (-1). */
static int after_unit(struct transform_istream *s, const unsigned char *in,
		      size_t in_size)
{
	if (in_size == 0) {
		s->finished = true;
		return 0;
	}
	if ((s->class_->flags & TRANSFORM_MEMBERS) == 0 ||
	    !s->class_->may_begin(in, in_size)) {
		transform_istream_set_failure(s, EINVAL, "data after the end");
		return -1;
	}
	s->class_->reset(s->transform);
	s->unit_ended = false;
	s->status = TRANSFORM_NEED_IN;
	return 1;
}

/* Whether reading might wait for somebody who waits for us: a pipe, not a file. */
static bool parent_may_wait(struct istream *parent)
{
	struct stat st;
	int fd;

	if (!parent->blocking || i_stream_get_data_size(parent) > 0)
		return false;
	fd = i_stream_fd_of_chain(parent);
	return fd != -1 &&
		(file_ops()->fstat(fd, &st) < 0 || !S_ISREG(st.st_mode));
}

/* What another thread has made can be read, or there will be nothing. */
static void worker_ready(void *context)
{
	struct transform_istream *s = context;

	io_remove(&s->worker_io);
	i_stream_set_input_pending(&s->istream.istream, true);
}

bool transform_istream_watch_worker(struct transform_istream *s)
{
	struct ioloop *ioloop = io_stream_get_ioloop(&s->istream.iostream);
	int fd;

	if (s->istream.istream.blocking || ioloop == NULL ||
	    s->class_->get_wake_fd == NULL)
		return false;
	if (s->worker_io != NULL)
		return true;
	fd = s->class_->get_wake_fd(s->transform);
	if (fd != -1)
		s->worker_io = io_add_to(ioloop, fd, IO_READ, worker_ready, s);
	return fd != -1;
}

/* What the codec gets next. 1: data; 2: nothing, but it does not need any, or
   the parent is at its clean end (then `op` is FINISH); 0: the parent has none
   now; -1: the parent failed. */
static int get_input(struct transform_istream *s, struct transform_io *io,
		     enum transform_op *op_r)
{
	struct istream *parent = s->istream.parent;
	const unsigned char *data;
	size_t size;
	int ret;

	transform_no_input(io);
	*op_r = s->parent_ended ? TRANSFORM_FINISH : TRANSFORM_RUN;
	/* never wait for input while there is output to be had */
	if (s->status == TRANSFORM_NEED_OUT &&
	    (s->parent_ended || i_stream_get_data_size(parent) == 0))
		return 2;
	if (s->deferred && parent_may_wait(parent))
		return 2;
	ret = i_stream_read_parent(&s->istream, &data, &size, 0);
	if (ret > 0) {
		io->in = data;
		io->in_end = data + size;
		return 1;
	}
	if (ret == 0 && s->deferred && transform_istream_watch_worker(s))
		*op_r = TRANSFORM_POLL;
	if (ret == 0)
		return s->deferred ? 2 : 0;
	if (parent->stream_errno != 0 && s->deferred)
		/* the bytes before the error first; it will be met again */
		return 2;
	if (parent->stream_errno != 0) {
		/* its own text is the best one */
		if (s->failure_errno == 0)
			s->failure_errno = parent->stream_errno;
		return -1;
	}
	s->parent_ended = true;
	*op_r = TRANSFORM_FINISH;
	return 2;
}

ssize_t transform_istream_decode(struct transform_istream *s,
				 struct transform_io *io)
{
	enum transform_op op;
	size_t produced;
	int ret;

	while (s->failure_errno == 0 && !s->finished) {
		if (s->unit_ended && !member_may_follow(s)) {
			s->finished = true;
			break;
		}
		ret = get_input(s, io, &op);
		if (ret == 0)
			return 0;
		if (ret < 0)
			break;
		if (s->unit_ended &&
		    after_unit(s, io->in, (size_t)(io->in_end - io->in)) <= 0)
			break;
		produced = codec_turn(s, io, op);
		if (produced > 0)
			return (ssize_t)produced;
		if (op == TRANSFORM_POLL && s->failure_errno == 0)
			return 0;
	}
	return -1;
}
