/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Writes to functions of the user's. A corked stream gathers blocks in `buffer`; else
   only what was refused waits there. Nothing is ever offered that could not be kept if
   it were refused, so that it comes again as it was: a TLS record, say, must. */

#include "config.h"
#include "byte-queue.h"
#include "ostream-private.h"
#include "wake-fd.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

struct callback_ostream {
	struct ostream_private ostream;
	struct ostream_callback_methods methods;
	void *context;
	struct byte_queue buffer;
	struct io *io; /* waits for somebody to say that there is room */
	pthread_mutex_t lock;
	struct wake_fd wake; /* under the lock: any thread sets it */
	bool refused:1;      /* by the last call of a method */
	bool calling:1;      /* a method, which must not come back here */
	bool in_ready:1;     /* callback_ready() */
	bool finish_waits:1; /* it was refused, and wants to come back */
	bool flush_pending:1;
};

static struct callback_ostream *callback_ostream(struct ostream_private *stream)
{
	return container_of(stream, struct callback_ostream, ostream);
}

static const struct callback_ostream *
callback_ostream_const(const struct ostream_private *stream)
{
	return (const struct callback_ostream *)(const void *)stream;
}

static void panic_if_calling(struct callback_ostream *cs)
{
	if (BOBBIN_UNLIKELY(cs->calling))
		i_panic("output stream %s is used by its own callback",
			o_stream_get_name(&cs->ostream.ostream));
}

/*
 * The event loop
 */

/* A refusal stands until somebody says that there is room. */
static bool may_have_room(struct callback_ostream *cs)
{
	bool woken;

	(void)pthread_mutex_lock(&cs->lock);
	woken = cs->wake.set;
	(void)pthread_mutex_unlock(&cs->lock);
	return woken || !cs->refused;
}

static void callback_ready(void *context);

static int add_io(struct callback_ostream *cs, struct ioloop *ioloop)
{
	int fd;

	(void)pthread_mutex_lock(&cs->lock);
	fd = wake_fd_get(&cs->wake);
	(void)pthread_mutex_unlock(&cs->lock);
	if (fd == -1)
		/* nobody would ever come back */
		return o_stream_fail(&cs->ostream, errno,
				     "%s: cannot wait for room: %s",
				     o_stream_get_name(&cs->ostream.ostream),
				     strerror(errno));
	cs->io = io_add_to(ioloop, fd, IO_READ, callback_ready, cs);
	return 0;
}

/* Waits where something is to be sent or asked for: until somebody says that there is
   room, or for the loop's next turn where nobody said that there is none. 0, or -1
   where it cannot. */
static int update_io(struct callback_ostream *cs)
{
	struct ioloop *ioloop = io_stream_get_ioloop(&cs->ostream.iostream);
	bool want;

	want = byte_queue_used(&cs->buffer) > 0 || cs->flush_pending ||
		cs->finish_waits;
	if (cs->ostream.corked || cs->ostream.closing ||
	    cs->ostream.ostream.stream_errno != 0)
		want = false;
	if (!want)
		io_remove(&cs->io);
	else if (cs->io == NULL && ioloop != NULL && add_io(cs, ioloop) < 0)
		return -1;
	if (cs->io != NULL && !cs->refused)
		io_set_pending(cs->io);
	return 0;
}

/* The same where nobody looks at the answer. */
static void update_io_later(struct callback_ostream *cs)
{
	if (update_io(cs) < 0)
		cs->ostream.last_errors_not_checked = true;
}

/* Nobody wants to be called: what is buffered goes when the cork ends, and a finish
   that had to wait goes on. */
static int go_on(struct callback_ostream *cs)
{
	int ret;

	if (!cs->ostream.finished)
		return 1;
	ret = o_stream_flush_mode(&cs->ostream, OSTREAM_FINISH);
	if (ret < 0)
		cs->ostream.last_errors_not_checked = true;
	return ret;
}

static void callback_ready(void *context)
{
	struct callback_ostream *cs = context;
	struct ostream *stream = &cs->ostream.ostream;
	int ret;

	/* a send that came before the loop did may have been refused */
	if (!may_have_room(cs))
		return;
	o_stream_ref(stream);
	cs->in_ready = true;
	/* a callback that asks for the next one must not be overruled */
	cs->flush_pending = cs->finish_waits = false;
	o_stream_cork_internal(stream);
	if (cs->ostream.callback != NULL)
		ret = o_stream_call_flush_callback(&cs->ostream, 1);
	else
		ret = go_on(cs);
	if (ret == 0)
		cs->flush_pending = true;
	o_stream_end_turn(&cs->ostream);
	cs->in_ready = false;
	update_io_later(cs);
	o_stream_unref(&stream);
}

/*
 * Calls of methods
 */

static int method_failed(struct callback_ostream *cs, const char *what,
			 int error, const char *text)
{
	return o_stream_fail(&cs->ostream, error, "%s(%s) failed: %s", what,
			     o_stream_get_name(&cs->ostream.ostream),
			     text != NULL ? text : strerror(error));
}

/* What a method's answer means: itself, 0 for a refusal, -1 with the stream's error. */
static ssize_t answered(struct callback_ostream *cs, const char *what,
			ssize_t ret, const char *text)
{
	if (ret < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		ret = 0;
	if (ret < 0)
		return method_failed(cs, what, errno != 0 ? errno : EIO, text);
	cs->refused = ret == 0;
	/* aborted by the method itself */
	return cs->ostream.ostream.stream_errno != 0 ? -1 : ret;
}

/* What was said before the call is old, and what is said meanwhile counts. */
static void begin_call(struct callback_ostream *cs)
{
	(void)pthread_mutex_lock(&cs->lock);
	wake_fd_clear(&cs->wake);
	(void)pthread_mutex_unlock(&cs->lock);
	cs->calling = true;
}

static ssize_t call_write(struct callback_ostream *cs, const void *data,
			  size_t size)
{
	const char *text;
	ssize_t ret;

	begin_call(cs);
	do {
		text = NULL;
		errno = 0;
		ret = cs->methods.write(cs->context, data, size, &text);
	} while (ret < 0 && errno == EINTR);
	cs->calling = false;
	if (ret > 0 && (size_t)ret > size)
		i_panic("output stream %s: its callback took %zd bytes of %zu",
			o_stream_get_name(&cs->ostream.ostream), ret, size);
	return answered(cs, "write", ret, text);
}

static int call_finish(struct callback_ostream *cs)
{
	const char *text;
	int ret;

	if (cs->methods.finish == NULL)
		return 1;
	begin_call(cs);
	do {
		text = NULL;
		errno = 0;
		ret = cs->methods.finish(cs->context, &text);
	} while (ret < 0 && errno == EINTR);
	cs->calling = false;
	ret = (int)answered(cs, "finish", ret, text);
	cs->finish_waits = ret == 0;
	return ret;
}

/*
 * Sending
 */

static size_t buffer_room(const struct callback_ostream *cs, size_t limit)
{
	size_t used = byte_queue_used(&cs->buffer);

	return limit - I_MIN(limit, used);
}

/* A corked stream writes when this much is there. */
static size_t block_size(const struct callback_ostream *cs)
{
	return I_MIN(cs->ostream.max_buffer_size, (size_t)IO_BLOCK_SIZE);
}

/* 1: all that is buffered was taken; 0: it was refused; -1. */
static int write_buffer(struct callback_ostream *cs)
{
	ssize_t ret;

	while (byte_queue_used(&cs->buffer) > 0) {
		ret = call_write(cs, byte_queue_data(&cs->buffer),
				 byte_queue_used(&cs->buffer));
		if (ret <= 0)
			return (int)ret;
		byte_queue_skip(&cs->buffer, (size_t)ret);
	}
	return 1;
}

/* From the sender's memory: no more than could be kept, but where nothing may be. */
static ssize_t write_direct(struct callback_ostream *cs, const void *data,
			    size_t size)
{
	size_t max = cs->ostream.max_buffer_size;

	return call_write(cs, data, max == 0 ? size : I_MIN(size, max));
}

/* Buffers what there is room for. How much that is, or -1. */
static ssize_t keep(struct callback_ostream *cs, const unsigned char *data,
		    size_t size, size_t limit)
{
	unsigned char *dest;

	size = I_MIN(size, buffer_room(cs, limit));
	if (size == 0)
		return 0;
	dest = byte_queue_reserve(&cs->buffer, size);
	if (dest == NULL)
		return method_failed(cs, "write", ENOMEM, NULL);
	memcpy(dest, data, size);
	byte_queue_add(&cs->buffer, size);
	return (ssize_t)size;
}

/* A step forward in a piece of data: how much of it is done with; 0: it was refused;
   -1. What is large, or comes `alone` and need not wait, is not copied. */
static ssize_t send_some(struct callback_ostream *cs, const unsigned char *data,
			 size_t size, bool alone)
{
	size_t block = block_size(cs);
	bool large = size >= block / 2;
	int ret;

	if (large || buffer_room(cs, block) == 0) {
		ret = write_buffer(cs);
		if (ret <= 0)
			return ret;
	}
	if (large || (alone && byte_queue_used(&cs->buffer) == 0))
		return write_direct(cs, data, size);
	return keep(cs, data, size, block);
}

/* How much of a piece was taken; less than all only where there is no room. -1. */
static ssize_t send_piece(struct callback_ostream *cs,
			  const unsigned char *data, size_t size, bool alone,
			  bool *refused)
{
	size_t done = 0;
	ssize_t ret;

	while (done < size && !*refused) {
		ret = send_some(cs, data + done, size - done, alone);
		if (ret < 0)
			return o_stream_passed(done);
		*refused = ret == 0;
		done += (size_t)ret;
	}
	if (done == size)
		return (ssize_t)done;
	ret = keep(cs, data + done, size - done, cs->ostream.max_buffer_size);
	return ret < 0 ? o_stream_passed(done) : (ssize_t)done + ret;
}

/* The next small sends need no more than a copy. */
static void open_append(struct callback_ostream *cs)
{
	if (cs->buffer.data == NULL)
		return;
	byte_queue_open(&cs->buffer, buffer_room(cs, block_size(cs)));
	cs->ostream.append.open = true;
}

/* What waits is lost. */
static ssize_t passed_of(const struct callback_ostream *cs, size_t total)
{
	return o_stream_passed(total -
			       I_MIN(total, byte_queue_used(&cs->buffer)));
}

static ssize_t o_stream_callback_sendv(struct ostream_private *stream,
				       const struct const_iovec *iov,
				       unsigned int iov_count)
{
	struct callback_ostream *cs = callback_ostream(stream);
	bool alone = iov_count == 1 && !stream->corked, refused = false;
	size_t total = 0;
	unsigned int i;
	ssize_t ret;

	panic_if_calling(cs);
	for (i = 0; i < iov_count; i++) {
		ret = send_piece(cs, iov[i].iov_base, iov[i].iov_len, alone,
				 &refused);
		if (ret > 0)
			total += (size_t)ret;
		if (ret < 0 || (size_t)ret < iov[i].iov_len)
			break;
	}
	/* nobody is asked behind an error */
	if (stream->ostream.stream_errno != 0)
		return passed_of(cs, total);
	if (stream->corked)
		open_append(cs);
	else if ((!refused && write_buffer(cs) < 0) || update_io(cs) < 0)
		return passed_of(cs, total);
	return (ssize_t)total;
}

/* The end of callback_ready()'s cork need not ask what was just refused. */
static bool has_just_asked(struct callback_ostream *cs,
			   enum ostream_flush_mode mode)
{
	return byte_queue_used(&cs->buffer) > 0 && mode == OSTREAM_PUSH &&
		cs->in_ready && !may_have_room(cs);
}

static int o_stream_callback_flush(struct ostream_private *stream,
				   enum ostream_flush_mode mode)
{
	struct callback_ostream *cs = callback_ostream(stream);
	int ret;

	panic_if_calling(cs);
	ret = has_just_asked(cs, mode) ? 0 : write_buffer(cs);
	byte_queue_relax(&cs->buffer);
	if (ret > 0 && mode == OSTREAM_FINISH)
		ret = call_finish(cs);
	if (ret >= 0 && update_io(cs) < 0)
		return -1;
	return ret;
}

static unsigned char *o_stream_callback_reserve(struct ostream_private *stream,
						size_t min, size_t *size_r)
{
	struct callback_ostream *cs = callback_ostream(stream);
	size_t room = buffer_room(cs, block_size(cs));
	unsigned char *window;

	panic_if_calling(cs);
	if (room < min)
		return NULL;
	window = byte_queue_reserve(&cs->buffer, room);
	*size_r = room;
	return window;
}

static void o_stream_callback_commit(struct ostream_private *stream,
				     size_t size)
{
	struct callback_ostream *cs = callback_ostream(stream);

	byte_queue_add(&cs->buffer, size);
	if (!stream->corked || buffer_room(cs, block_size(cs)) == 0)
		(void)o_stream_callback_flush(stream, OSTREAM_PUSH);
}

static size_t
o_stream_callback_get_used_size(const struct ostream_private *stream)
{
	return byte_queue_used(&callback_ostream_const(stream)->buffer);
}

static size_t
o_stream_callback_get_avail_size(const struct ostream_private *stream)
{
	return buffer_room(callback_ostream_const(stream),
			   stream->max_buffer_size);
}

/*
 * Life cycle
 */

static void o_stream_callback_cork(struct ostream_private *stream,
				   bool set ATTR_UNUSED)
{
	update_io_later(callback_ostream(stream));
}

static void o_stream_callback_flush_pending(struct ostream_private *stream,
					    bool set)
{
	struct callback_ostream *cs = callback_ostream(stream);

	cs->flush_pending = set;
	update_io_later(cs);
}

static void o_stream_callback_switch_ioloop_to(struct ostream_private *stream,
					       struct ioloop *ioloop)
{
	struct callback_ostream *cs = callback_ostream(stream);

	stream->iostream.ioloop = ioloop;
	io_remove(&cs->io);
	update_io_later(cs);
}

static void o_stream_callback_close(struct iostream_private *stream,
				    bool close_parent ATTR_UNUSED)
{
	struct callback_ostream *cs =
		container_of(stream, struct callback_ostream, ostream.iostream);

	panic_if_calling(cs);
	io_remove(&cs->io);
	byte_queue_free(&cs->buffer);
}

static void o_stream_callback_destroy(struct iostream_private *stream)
{
	struct callback_ostream *cs =
		container_of(stream, struct callback_ostream, ostream.iostream);

	/* other threads may wake the stream until this has returned */
	if (cs->methods.destroy != NULL)
		cs->methods.destroy(cs->context);
	wake_fd_free(&cs->wake);
	(void)pthread_mutex_destroy(&cs->lock);
}

static void set_methods(struct ostream_private *stream)
{
	stream->iostream.close = o_stream_callback_close;
	stream->iostream.destroy = o_stream_callback_destroy;
	stream->sendv = o_stream_callback_sendv;
	stream->flush = o_stream_callback_flush;
	stream->reserve = o_stream_callback_reserve;
	stream->commit = o_stream_callback_commit;
	stream->cork = o_stream_callback_cork;
	stream->flush_pending = o_stream_callback_flush_pending;
	stream->get_buffer_used_size = o_stream_callback_get_used_size;
	stream->get_buffer_avail_size = o_stream_callback_get_avail_size;
	stream->switch_ioloop_to = o_stream_callback_switch_ioloop_to;
}

struct ostream *
o_stream_create_callback(const struct ostream_callback_methods *methods,
			 void *context, size_t max_buffer_size)
{
	struct callback_ostream *cs = i_new(struct callback_ostream, 1);
	struct ostream *stream;

	cs->methods = *methods;
	cs->context = context;
	(void)pthread_mutex_init(&cs->lock, NULL);
	set_methods(&cs->ostream);
	cs->ostream.max_buffer_size = max_buffer_size == 0 ? IO_BLOCK_SIZE :
							     max_buffer_size;
	cs->ostream.append.data = &cs->buffer.data;
	cs->ostream.append.used = &cs->buffer.end;
	cs->ostream.append.limit = &cs->buffer.append_limit;
	stream = o_stream_create(&cs->ostream, NULL, -1);
	o_stream_set_name(stream, "(callback)");
	cs->ostream.needs_finish = methods->finish != NULL;
	if (methods->write == NULL)
		(void)o_stream_fail(&cs->ostream, EINVAL,
				    "%s: no function was given to write with",
				    o_stream_get_name(stream));
	return stream;
}

void o_stream_callback_wake(struct ostream *stream)
{
	struct callback_ostream *cs = callback_ostream(stream->real_stream);

	i_assert(stream->real_stream->sendv == o_stream_callback_sendv);
	(void)pthread_mutex_lock(&cs->lock);
	wake_fd_set(&cs->wake);
	(void)pthread_mutex_unlock(&cs->lock);
}
