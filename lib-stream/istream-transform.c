/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Any transform as an input stream. The codec writes straight into the
   stream's buffer where that has room for it, else into `stage`. Seeking only
   notes where reading is to go on; the next read goes there: forward by
   dropping what it decodes, backward from the beginning or from where the
   codec can locate a nearer point. */

#include "config.h"
#include "byte-queue.h"
#include "file-ops.h"
#include "istream-private.h"
#include "transform-step.h"

#include <errno.h>
#include <string.h>

/* Ratios are judged beyond this many bytes of plain data. */
#define RATIO_GRACE 65536

struct transform_istream {
	struct istream_private istream;
	struct transform *transform;
	const struct transform_class *class_;

	struct byte_queue stage;
	/* Plain offset of the next byte that the codec puts out; what is in the
	   stage and the buffer lies before it. */
	uoff_t plain_pos;
	enum transform_status status; /* the codec's last answer */

	/* An error, kept aside until the data before it was given out. */
	int failure_errno;
	char *failure;

	uoff_t max_plain;       /* 0: no bound */
	unsigned int max_ratio; /* 0: no bound */
	struct io *worker_io; /* a reader waits, for another thread's output */
	uoff_t known_size;    /* UOFF_T_MAX: the end was never seen */

	bool unit_ended:1; /* END (or an encoder's DONE) was answered */
	bool deferred:1;   /* another thread may have output for us */
	bool parent_ended:1;
	bool finished:1; /* a clean end: nothing more comes */
	bool vouched:1;  /* the end was verified before random access */
	/* the codec went to look at the end: where it is now tells nothing of where
	   reading goes on, nor does an error that it met there */
	bool astray:1;
};

static struct transform_istream *transform_istream(struct istream_private *s)
{
	return container_of(s, struct transform_istream, istream);
}

static bool is_decoder(const struct transform_istream *s)
{
	return transform_is_decoder(s->class_);
}

/*
 * Errors
 */

static void set_failure(struct transform_istream *s, int error,
			const char *text)
{
	if (s->failure_errno == 0) {
		s->failure_errno = error;
		s->failure = i_strdup(text);
	}
}

static void take_codec_error(struct transform_istream *s)
{
	const struct transform *t = s->transform;

	set_failure(s, t->error_errno != 0 ? t->error_errno : EIO,
		    t->error != NULL ? t->error : "codec failed");
}

static uoff_t encoded_pos(const struct transform_istream *s)
{
	return s->istream.parent_expected_offset -
		s->istream.parent_start_offset;
}

static ssize_t raise_failure(struct transform_istream *s)
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
		(unsigned long long)(encoded_pos(s) - s->transform->error_left),
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
		by_ratio = encoded_pos(s);
		by_ratio = by_ratio > UOFF_T_MAX / s->max_ratio ?
			UOFF_T_MAX :
			by_ratio * s->max_ratio;
		max = I_MIN(max, I_MAX(by_ratio, (uoff_t)RATIO_GRACE));
	}
	return max - I_MIN(max, s->plain_pos);
}

void i_stream_transform_set_limits(struct istream *stream, uoff_t max_plain,
				   unsigned int max_ratio)
{
	struct transform_istream *s = transform_istream(stream->real_stream);

	s->max_plain = max_plain;
	s->max_ratio = max_ratio;
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
		set_failure(s, EFBIG,
			    "the decoded data is larger than the limit");
	}
	s->plain_pos += produced;

	if (status == TRANSFORM_ERROR)
		take_codec_error(s);
	else if (status == TRANSFORM_END || status == TRANSFORM_DONE)
		s->unit_ended = true;
	else if (status == TRANSFORM_NEED_IN && op == TRANSFORM_FINISH)
		set_failure(s, EPIPE,
			    encoded_pos(s) == 0 ? "the input is empty" :
						  "the input ends too early");
	return produced;
}

/* Behind the unit of a STOP class, and behind what an encoder finished, there is
   nothing to look at. */
static bool member_may_follow(const struct transform_istream *s)
{
	return is_decoder(s) && (s->class_->flags & TRANSFORM_STOP) == 0;
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
		set_failure(s, EINVAL, "data after the end");
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

/* Whether there is a loop that other threads can wake, so that the reader need not
   wait for them here. */
static bool watch_worker(struct transform_istream *s)
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
	if (ret == 0 && s->deferred && watch_worker(s))
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

/* Gets bytes out of the codec into io's output window. >0: that many; 0: the
   parent has nothing now; -1: the end, or a failure was set. */
static ssize_t decode(struct transform_istream *s, struct transform_io *io)
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

/* Fills the empty stage: as decode(). */
static ssize_t fill_stage(struct transform_istream *s)
{
	size_t size = transform_good_window(s->class_, IO_BLOCK_SIZE);
	struct transform_io io;
	ssize_t ret;

	io.out = byte_queue_reserve(&s->stage, size);
	if (io.out == NULL) {
		set_failure(s, ENOMEM, "out of memory");
		return -1;
	}
	io.out_end = io.out + size;
	ret = decode(s, &io);
	if (ret > 0)
		byte_queue_add(&s->stage, (size_t)ret);
	return ret;
}

/* Drops decoded bytes that lie before where the reader is. 1, or as decode().*/
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
		return raise_failure(s);
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
		ret = decode(s, &io);
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
		take_codec_error(s);
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
	if (encoded_pos(s) == 0 && fill_stage(s) <= 0)
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
		take_codec_error(s);
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

	if (s->known_size == UOFF_T_MAX && exact &&
	    (stream->istream.seekable || s->class_->locate != NULL)) {
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
		return (int)raise_failure(s);
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
		(void)watch_worker(s);
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
		is_decoder(s);
	s->istream.iostream.close = i_stream_transform_close;
	s->istream.iostream.destroy = i_stream_transform_destroy;
	s->istream.switch_ioloop_to = i_stream_transform_switch_ioloop_to;
	s->istream.read = i_stream_transform_read;
	s->istream.seek = i_stream_transform_seek;
	s->istream.stat = i_stream_transform_stat;
	s->istream.get_size = i_stream_transform_get_size;
	stream = i_stream_create(&s->istream, input, -1);
	stream->readable_fd = false;
	/* what an encoder writes anew may be other bytes (age) */
	stream->seekable = input->seekable &&
		(is_decoder(s) || (class_->flags & TRANSFORM_UNFRAMED) != 0);
	if (transform->error_errno != 0)
		take_codec_error(s);
	return stream;
}
