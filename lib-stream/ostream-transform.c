/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Any transform as an output stream. What the parent cannot take now waits in
   `stage`; plain input that the codec cannot take now (the parent is full, or
   a sync or the trailer is being written), and small corked sends, wait in
   `hold`. A sync and the finish are latched: once tried they are repeated until
   the codec says DONE, so that a trailer is written once however often finish
   had to be called. */

#include "config.h"
#include "ostream-transform-private.h"

#include <errno.h>
#include <string.h>

static struct transform_ostream *transform_ostream(struct ostream_private *s)
{
	return container_of(s, struct transform_ostream, ostream);
}

static const struct transform_ostream *
transform_ostream_const(const struct ostream_private *s)
{
	return (const struct transform_ostream
			*)(const void *)((const char *)s -
					 offsetof(struct transform_ostream,
						  ostream));
}

static void watch_parent(struct transform_ostream *s);
static void watch_worker(struct transform_ostream *s);

/* After a call: idle streams own no buffers, and a full parent tells us when
   it has room. */
static void settle(struct transform_ostream *s)
{
	byte_queue_relax(&s->stage);
	byte_queue_relax(&s->hold);
	if (byte_queue_used(&s->stage) > 0 || s->status == TRANSFORM_NEED_OUT ||
	    (s->wants_deferred && s->ostream.ostream.stream_errno == 0))
		watch_parent(s);
	watch_worker(s);
}

/*
 * Methods
 */

static size_t hold_room(const struct transform_ostream *s)
{
	size_t held = byte_queue_used(&s->hold);
	size_t max = s->ostream.max_buffer_size;

	return max - I_MIN(max, held);
}

/* Keeps what the codec cannot have now; how much is kept. */
static size_t hold_bytes(struct transform_ostream *s, const unsigned char *data,
			 size_t size)
{
	unsigned char *dest;

	size = I_MIN(size, hold_room(s));
	if (size == 0)
		return 0;
	dest = byte_queue_reserve(&s->hold, size);
	if (dest == NULL) {
		transform_ostream_set_failure(s, ENOMEM, "out of memory");
		return 0;
	}
	memcpy(dest, data, size);
	byte_queue_add(&s->hold, size);
	return size;
}

/* Straight from the caller's memory to the codec. */
static size_t feed_codec(struct transform_ostream *s, const unsigned char *data,
			 size_t size)
{
	size_t done = 0, consumed;
	int ret;

	do {
		ret = transform_ostream_turn(s, data + done, size - done,
					     TRANSFORM_RUN, &consumed);
		done += consumed;
		if (transform_ostream_send_stage(s) < 0)
			break;
	} while (ret > 0 && (done < size || s->status == TRANSFORM_NEED_OUT));
	return done;
}

/* Corked, smaller sends than this are gathered. */
static size_t small_send(const struct transform_ostream *s)
{
	bool whole = (s->class_->flags & TRANSFORM_LIKES_WHOLE) != 0 &&
		s->taken_size == 0;

	return whole ? GATHER_SIZE : SMALL_SEND;
}

static bool may_feed(const struct transform_ostream *s, size_t size)
{
	return byte_queue_used(&s->hold) == 0 && s->latched == TRANSFORM_RUN &&
		(!s->ostream.corked || size >= small_send(s));
}

/* How much of the piece was taken; less than all only where there is no room,
   or after an error. */
static size_t send_piece(struct transform_ostream *s, const unsigned char *data,
			 size_t size)
{
	size_t done = 0, n;

	while (done < size && s->failure_errno == 0) {
		if (may_feed(s, size - done)) {
			done += feed_codec(s, data + done, size - done);
			if (done == size ||
			    s->ostream.ostream.stream_errno != 0)
				break;
		}
		n = hold_bytes(s, data + done, size - done);
		done += n;
		if (transform_ostream_drain(s, false) < 0 || n == 0)
			break;
	}
	return done;
}

/* Small sends that are only gathered need no more than a copy. */
static void open_append(struct transform_ostream *s)
{
	size_t held = byte_queue_used(&s->hold), room = hold_room(s);

	if (held == 0 || held >= GATHER_SIZE || s->latched != TRANSFORM_RUN ||
	    byte_queue_used(&s->stage) > 0 || s->status == TRANSFORM_NEED_OUT ||
	    s->failure_errno != 0)
		return;
	byte_queue_open(&s->hold, I_MIN(room, GATHER_SIZE - held));
	s->ostream.append.open = true;
}

static ssize_t o_stream_transform_sendv(struct ostream_private *stream,
					const struct const_iovec *iov,
					unsigned int iov_count)
{
	struct transform_ostream *s = transform_ostream(stream);
	size_t done, total = 0;
	unsigned int i;

	if (transform_ostream_drain(s, false) < 0)
		return -1;
	for (i = 0; i < iov_count && s->failure_errno == 0; i++) {
		done = send_piece(s, iov[i].iov_base, iov[i].iov_len);
		total += done;
		if (done < iov[i].iov_len)
			break;
	}
	if (total == 0 && s->failure_errno != 0)
		(void)transform_ostream_drain(s, false);
	settle(s);
	if (total == 0 && stream->ostream.stream_errno != 0)
		return -1;
	if (stream->corked)
		open_append(s);
	return (ssize_t)total;
}

/* What a flush in this mode still wants of the codec, RUN: nothing. */
static enum transform_op wanted_op(const struct transform_ostream *s,
				   enum ostream_flush_mode mode)
{
	if (s->finish_written)
		return TRANSFORM_RUN;
	if (mode == OSTREAM_FINISH)
		return TRANSFORM_FINISH;
	if (mode == OSTREAM_SYNC &&
	    s->synced_offset != s->ostream.ostream.offset &&
	    (s->class_->flags & TRANSFORM_CAN_SYNC) != 0)
		return TRANSFORM_SYNC;
	return TRANSFORM_RUN;
}

/* Waits for what another thread has for us: as transform_ostream_drain(). A full parent
   stops that; the next flush, of whatever mode, goes on. */
static int take_deferred(struct transform_ostream *s)
{
	size_t consumed;
	int ret = 1;

	while (ret > 0 && s->deferred && !s->unit_ended && !s->finish_written) {
		if (transform_ostream_turn(s, NULL, 0, TRANSFORM_RUN,
					   &consumed) == 0)
			return 0;
		ret = transform_ostream_drain(s, true);
	}
	if (ret > 0)
		s->wants_deferred = false;
	return ret;
}

static int o_stream_transform_flush(struct ostream_private *stream,
				    enum ostream_flush_mode mode)
{
	struct transform_ostream *s = transform_ostream(stream);
	enum transform_op op;
	int ret;

	/* also where it is closed: what is lost then has to be known */
	if (mode == OSTREAM_SYNC || stream->closing)
		s->wants_deferred = (s->class_->flags & TRANSFORM_DEFERS) != 0;
	/* a latched operation comes to its end before the next one begins */
	do {
		op = wanted_op(s, mode);
		if (s->latched == TRANSFORM_RUN && op != TRANSFORM_RUN)
			transform_ostream_latch(s, op);
		ret = transform_ostream_drain(s, true);
	} while (ret > 0 && wanted_op(s, mode) != TRANSFORM_RUN);
	if (ret > 0 && s->wants_deferred)
		ret = take_deferred(s);
	settle(s);
	if (ret <= 0)
		return ret;
	return o_stream_flush_parent(stream, mode);
}

static size_t
o_stream_transform_get_used_size(const struct ostream_private *stream)
{
	const struct transform_ostream *s = transform_ostream_const(stream);
	size_t used = byte_queue_used(&s->hold) + byte_queue_used(&s->stage);

	if (s->class_->get_pending != NULL)
		used = size_add_saturate(used,
					 s->class_->get_pending(s->transform));
	return size_add_saturate(used,
				 o_stream_get_buffer_used_size(stream->parent));
}

static size_t
o_stream_transform_get_avail_size(const struct ostream_private *stream)
{
	return hold_room(transform_ostream_const(stream));
}

static int o_stream_transform_seek(struct ostream_private *stream,
				   uoff_t offset ATTR_UNUSED)
{
	return o_stream_fail(stream, ESPIPE, "%s: %s output cannot be seeked",
			     o_stream_get_name(&stream->ostream),
			     transform_ostream(stream)->class_->name);
}

static int o_stream_transform_write_at(struct ostream_private *stream,
				       const void *data ATTR_UNUSED,
				       size_t size ATTR_UNUSED, uoff_t offset)
{
	return o_stream_transform_seek(stream, offset);
}

/*
 * Flush callbacks: what is staged and latched comes before the user's
 */

static int call_user(struct transform_ostream *s, int otherwise)
{
	if (s->ostream.callback == NULL && s->parent_callback != NULL)
		return s->parent_callback(s->parent_context);
	return o_stream_call_flush_callback(&s->ostream, otherwise);
}

static int parent_writable(void *context)
{
	struct transform_ostream *s = context;
	struct ostream *stream = &s->ostream.ostream;
	int ret;

	if (stream->closed)
		return 1;
	o_stream_ref(stream);
	s->ostream.append.open = false;
	if (stream->stream_errno != 0)
		ret = -1;
	else
		ret = o_stream_transform_flush(
			&s->ostream,
			s->ostream.finished ? OSTREAM_FINISH : OSTREAM_PUSH);
	if (ret != 0)
		ret = call_user(s, ret);
	o_stream_unref(&stream);
	return ret;
}

static void install_callback(struct transform_ostream *s)
{
	struct ostream_private *parent = s->ostream.parent->real_stream;

	if (parent->callback == parent_writable && parent->context == s)
		return;
	s->parent_callback = parent->callback;
	s->parent_context = parent->context;
	bobbin_o_stream_set_flush_callback(s->ostream.parent, parent_writable,
					   s);
	s->watching_parent = true;
}

static void watch_parent(struct transform_ostream *s)
{
	install_callback(s);
	o_stream_set_flush_pending(s->ostream.parent, true);
}

static void unwatch_parent(struct transform_ostream *s)
{
	struct ostream_private *parent = s->ostream.parent->real_stream;

	if (!s->watching_parent)
		return;
	s->watching_parent = false;
	if (parent->callback == parent_writable && parent->context == s)
		bobbin_o_stream_set_flush_callback(s->ostream.parent,
						   s->parent_callback,
						   s->parent_context);
}

/* Another thread's output, as far as it is there: as transform_ostream_drain(). */
static int take_ready(struct transform_ostream *s)
{
	uoff_t given;
	size_t consumed;
	int ret;

	do {
		given = s->given_size;
		if (transform_ostream_turn(s, NULL, 0, TRANSFORM_POLL,
					   &consumed) == 0)
			return 0;
		ret = transform_ostream_send_stage(s);
		if (ret >= 0 && s->failure_errno != 0)
			return ret == 0 ? 0 : transform_ostream_raise(s);
	} while (ret > 0 && s->given_size != given && !s->unit_ended);
	return ret;
}

/* The user comes when nothing is on its way any more. */
static void worker_ready(void *context)
{
	struct transform_ostream *s = context;
	struct ostream *stream = &s->ostream.ostream;
	int ret;

	o_stream_ref(stream);
	s->ostream.append.open = false;
	o_stream_cork_internal(stream);
	ret = take_ready(s);
	settle(s);
	if ((ret < 0 || (ret > 0 && !s->deferred)) &&
	    o_stream_call_flush_callback(&s->ostream, 1) == 0)
		o_stream_set_flush_pending(stream, true);
	o_stream_end_turn(&s->ostream);
	o_stream_unref(&stream);
}

/* Where the stream has a loop, other threads wake it: not while the parent is full,
   for it tells us when it is not. */
static void watch_worker(struct transform_ostream *s)
{
	struct ioloop *ioloop = io_stream_get_ioloop(&s->ostream.iostream);
	const struct ostream *stream = &s->ostream.ostream;
	int fd;

	if (!s->deferred || s->unit_ended || s->class_->get_wake_fd == NULL ||
	    ioloop == NULL || s->finish_written || stream->closed ||
	    s->ostream.closing || stream->stream_errno != 0 ||
	    s->failure_errno != 0 || byte_queue_used(&s->stage) > 0) {
		io_remove(&s->worker_io);
		return;
	}
	if (s->worker_io != NULL)
		return;
	fd = s->class_->get_wake_fd(s->transform);
	if (fd != -1)
		s->worker_io = io_add_to(ioloop, fd, IO_READ, worker_ready, s);
}

static void o_stream_transform_switch_ioloop_to(struct ostream_private *stream,
						struct ioloop *ioloop)
{
	struct transform_ostream *s = transform_ostream(stream);

	stream->iostream.ioloop = ioloop;
	o_stream_switch_ioloop_to(stream->parent, ioloop);
	io_remove(&s->worker_io);
	watch_worker(s);
}

static void
o_stream_transform_set_flush_callback(struct ostream_private *stream,
				      stream_flush_callback_t *callback,
				      void *context)
{
	stream->callback = callback;
	stream->context = context;
	if (callback != NULL)
		install_callback(transform_ostream(stream));
}

static void o_stream_transform_flush_pending(struct ostream_private *stream,
					     bool set)
{
	install_callback(transform_ostream(stream));
	o_stream_set_flush_pending(stream->parent, set);
}

static void o_stream_transform_close(struct iostream_private *stream,
				     bool close_parent)
{
	struct transform_ostream *s = container_of(
		stream, struct transform_ostream, ostream.iostream);

	unwatch_parent(s);
	io_remove(&s->worker_io);
	if (close_parent)
		o_stream_close(s->ostream.parent);
}

static void o_stream_transform_destroy(struct iostream_private *stream)
{
	struct transform_ostream *s = container_of(
		stream, struct transform_ostream, ostream.iostream);

	unwatch_parent(s);
	io_remove(&s->worker_io);
	byte_queue_free(&s->stage);
	byte_queue_free(&s->hold);
	transform_free(&s->transform);
	i_free(s->failure);
}

struct ostream *o_stream_create_transform(struct ostream *output,
					  struct transform *transform)
{
	struct transform_ostream *s = i_new(struct transform_ostream, 1);
	const struct transform_class *class_ = transform->class_;
	bool secret = (class_->flags & TRANSFORM_AUTHENTICATED) != 0;
	struct ostream *stream;

	s->transform = transform;
	s->class_ = class_;
	s->status = TRANSFORM_NEED_IN;
	/* plain text is in the hold of an encoder and in the stage of a
	   decoder */
	s->hold.secret = secret && !transform_ostream_is_decoder(s);
	s->stage.secret = secret && transform_ostream_is_decoder(s);
	s->ostream.iostream.close = o_stream_transform_close;
	s->ostream.iostream.destroy = o_stream_transform_destroy;
	s->ostream.append.data = &s->hold.data;
	s->ostream.append.used = &s->hold.end;
	s->ostream.append.limit = &s->hold.append_limit;
	s->ostream.sendv = o_stream_transform_sendv;
	s->ostream.flush = o_stream_transform_flush;
	s->ostream.seek = o_stream_transform_seek;
	s->ostream.write_at = o_stream_transform_write_at;
	s->ostream.get_buffer_used_size = o_stream_transform_get_used_size;
	s->ostream.get_buffer_avail_size = o_stream_transform_get_avail_size;
	s->ostream.set_flush_callback = o_stream_transform_set_flush_callback;
	s->ostream.flush_pending = o_stream_transform_flush_pending;
	s->ostream.switch_ioloop_to = o_stream_transform_switch_ioloop_to;

	stream = o_stream_create(&s->ostream, output, -1);
	s->ostream.needs_finish = (class_->flags & TRANSFORM_TRAILER) != 0;
	if ((class_->flags & TRANSFORM_KEEP_PARENT) != 0)
		s->ostream.finish_also_parent = false;
	/* born with a bad setting */
	if (transform->error_errno != 0) {
		transform_ostream_take_error(s);
		transform_ostream_raise(s);
	}
	return stream;
}
