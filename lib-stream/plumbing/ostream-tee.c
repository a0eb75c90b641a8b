/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Sends everything to several streams. What a slow one did not take yet waits in
   one queue for all of them: each knows how many of its last bytes it lacks. */

#include "config.h"
#include "byte-queue.h"
#include "ostream-private.h"

#include <errno.h>
#include <string.h>

struct tee_output {
	struct tee_ostream *tee;
	struct ostream *stream;
	size_t lag; /* the last bytes of the queue that it did not take */
	bool watched;
};

struct tee_ostream {
	struct ostream_private ostream;
	struct byte_queue queue;
	struct tee_output *outputs;
	unsigned int count;
};

static struct tee_ostream *tee_ostream(struct ostream_private *stream)
{
	return container_of(stream, struct tee_ostream, ostream);
}

static const struct tee_ostream *
tee_ostream_const(const struct ostream_private *stream)
{
	return (const struct tee_ostream *)(const void *)stream;
}

/* One byte may always wait, or a send that only some take would be lost. */
static size_t queue_room(const struct tee_ostream *tee)
{
	size_t max = I_MAX(tee->ostream.max_buffer_size, (size_t)1);

	return max - I_MIN(max, byte_queue_used(&tee->queue));
}

/*
 * Waiting for slow outputs
 */

static int output_writable(void *context);

static void watch(struct tee_output *output)
{
	output->watched = true;
	o_stream_set_flush_callback(output->stream, output_writable, output);
}

static void watch_lag(struct tee_ostream *tee)
{
	unsigned int i;

	for (i = 0; i < tee->count; i++) {
		if (tee->outputs[i].lag == 0)
			continue;
		watch(&tee->outputs[i]);
		o_stream_set_flush_pending(tee->outputs[i].stream, true);
	}
}

static void unwatch(struct tee_output *output)
{
	struct ostream_private *s = output->stream->real_stream;

	if (output->watched && s->callback == output_writable &&
	    s->context == output)
		o_stream_unset_flush_callback(output->stream);
	output->watched = false;
}

/*
 * Sending
 */

static void drop_what_all_took(struct tee_ostream *tee)
{
	size_t lag = 0;
	unsigned int i;

	for (i = 0; i < tee->count; i++)
		lag = I_MAX(lag, tee->outputs[i].lag);
	byte_queue_skip(&tee->queue, byte_queue_used(&tee->queue) - lag);
	byte_queue_relax(&tee->queue);
}

/* 1 where the output lacks nothing now, 0, or -1. */
static int send_lag(struct tee_output *output)
{
	struct tee_ostream *tee = output->tee;
	struct const_iovec iov;
	ssize_t ret;

	if (output->lag == 0)
		return 1;
	iov.iov_base = byte_queue_data(&tee->queue) +
		(byte_queue_used(&tee->queue) - output->lag);
	iov.iov_len = output->lag;
	ret = o_stream_send_to(&tee->ostream, output->stream, &iov, 1);
	if (ret < 0)
		return -1;
	output->lag -= (size_t)ret;
	drop_what_all_took(tee);
	return output->lag == 0 ? 1 : 0;
}

static int queue_bytes(struct tee_ostream *tee, const struct const_iovec *iov,
		       unsigned int iov_count, size_t skip, size_t size)
{
	unsigned char *dest = byte_queue_reserve(&tee->queue, size - skip);
	size_t used = 0, len;
	unsigned int i;

	if (dest == NULL)
		return o_stream_fail(&tee->ostream, ENOMEM, "%s: out of memory",
				     o_stream_get_name(&tee->ostream.ostream));
	for (i = 0; i < iov_count; i++) {
		len = I_MIN(iov[i].iov_len, skip);
		skip -= len;
		if (len == iov[i].iov_len)
			continue;
		memcpy(dest + used, (const char *)iov[i].iov_base + len,
		       iov[i].iov_len - len);
		used += iov[i].iov_len - len;
	}
	byte_queue_add(&tee->queue, used);
	return 0;
}

/* All of it is taken: by an output, or by the queue, which has the room. */
static int take(struct tee_ostream *tee, const struct const_iovec *iov,
		unsigned int iov_count, size_t size)
{
	struct tee_output *output;
	size_t least = size;
	ssize_t sent;
	unsigned int i;

	for (i = 0; i < tee->count; i++) {
		output = &tee->outputs[i];
		sent = output->lag > 0 ?
			0 :
			o_stream_send_to(&tee->ostream, output->stream, iov,
					 iov_count);
		if (sent < 0)
			return -1;
		output->lag += size - (size_t)sent;
		least = I_MIN(least, (size_t)sent);
	}
	return least == size ? 0 :
			       queue_bytes(tee, iov, iov_count, least, size);
}

static ssize_t take_pieces(struct tee_ostream *tee,
			   const struct const_iovec *iov)
{
	struct const_iovec piece = *iov;
	size_t taken = 0;

	while (taken < iov->iov_len) {
		piece.iov_base = (const char *)iov->iov_base + taken;
		piece.iov_len = I_MIN(iov->iov_len - taken, queue_room(tee));
		if (piece.iov_len == 0)
			break;
		if (take(tee, &piece, 1, piece.iov_len) < 0)
			return -1;
		taken += piece.iov_len;
	}
	return (ssize_t)taken;
}

static ssize_t o_stream_tee_sendv(struct ostream_private *stream,
				  const struct const_iovec *iov,
				  unsigned int iov_count)
{
	struct tee_ostream *tee = tee_ostream(stream);
	size_t size = 0, taken = 0;
	ssize_t ret = 0;
	unsigned int i;

	for (i = 0; i < tee->count; i++) {
		if (send_lag(&tee->outputs[i]) < 0)
			return -1;
	}
	for (i = 0; i < iov_count; i++)
		size += iov[i].iov_len;
	if (size <= queue_room(tee)) {
		if (take(tee, iov, iov_count, size) < 0)
			return -1;
		taken = size;
	}
	for (i = 0; i < iov_count && taken < size; i++) {
		ret = take_pieces(tee, &iov[i]);
		if (ret < 0)
			return -1;
		taken += (size_t)ret;
		if ((size_t)ret < iov[i].iov_len)
			break;
	}
	watch_lag(tee);
	return (ssize_t)taken;
}

/*
 * Flushing
 */

static int flush_output(struct tee_output *output, enum ostream_flush_mode mode)
{
	int ret = send_lag(output);

	if (ret <= 0)
		return ret;
	return o_stream_flush_to(&output->tee->ostream, output->stream, mode);
}

static int o_stream_tee_flush(struct ostream_private *stream,
			      enum ostream_flush_mode mode)
{
	struct tee_ostream *tee = tee_ostream(stream);
	int ret, all = 1;
	unsigned int i;

	for (i = 0; i < tee->count; i++) {
		ret = flush_output(&tee->outputs[i], mode);
		if (ret < 0)
			return -1;
		all = I_MIN(all, ret);
	}
	watch_lag(tee);
	return all;
}

/* The user hears of it when there is room, or an error. */
static int output_writable(void *context)
{
	struct tee_output *output = context;
	struct tee_ostream *tee = output->tee;
	struct ostream *stream = &tee->ostream.ostream;
	int ret = -1;

	if (stream->closed)
		return 1;
	o_stream_ref(stream);
	tee->ostream.append.open = false;
	if (stream->stream_errno == 0)
		ret = flush_output(output,
				   tee->ostream.finished ? OSTREAM_FINISH :
							   OSTREAM_PUSH);
	if (ret < 0 || (ret > 0 && queue_room(tee) > 0))
		ret = o_stream_call_flush_callback(&tee->ostream, ret);
	o_stream_unref(&stream);
	return ret;
}

static void o_stream_tee_set_flush_callback(struct ostream_private *stream,
					    stream_flush_callback_t *callback,
					    void *context)
{
	struct tee_ostream *tee = tee_ostream(stream);
	unsigned int i;

	stream->callback = callback;
	stream->context = context;
	for (i = 0; callback != NULL && i < tee->count; i++)
		watch(&tee->outputs[i]);
}

static void o_stream_tee_flush_pending(struct ostream_private *stream, bool set)
{
	struct tee_ostream *tee = tee_ostream(stream);
	unsigned int i;

	for (i = 0; i < tee->count; i++) {
		watch(&tee->outputs[i]);
		o_stream_set_flush_pending(tee->outputs[i].stream, set);
	}
}

/*
 * What goes to every output
 */

static void o_stream_tee_cork(struct ostream_private *stream, bool set)
{
	struct tee_ostream *tee = tee_ostream(stream);
	struct ostream *output;
	unsigned int i;

	for (i = 0; i < tee->count; i++) {
		output = tee->outputs[i].stream;
		if (set) {
			o_stream_cork_internal(output);
			continue;
		}
		o_stream_uncork_internal(output);
		if (output->stream_errno == 0)
			continue;
		/* from here on it is this stream's error to check, if it is one
		   that nobody heard of, and anything can be lost by it */
		o_stream_ignore_last_errors(output);
		if (stream->ostream.stream_errno == 0 && !stream->finish_done)
			stream->last_errors_not_checked = true;
		(void)o_stream_fail(stream, output->stream_errno, "%s",
				    o_stream_get_error(output));
	}
}

static void o_stream_tee_abort(struct ostream_private *stream)
{
	struct tee_ostream *tee = tee_ostream(stream);
	unsigned int i;

	for (i = 0; i < tee->count; i++) {
		if (o_stream_finish_reaches(stream, tee->outputs[i].stream))
			o_stream_give_up(tee->outputs[i].stream);
	}
}

static void o_stream_tee_mark_checked(struct ostream_private *stream)
{
	struct tee_ostream *tee = tee_ostream(stream);
	unsigned int i;

	for (i = 0; i < tee->count; i++)
		o_stream_mark_checked(tee->outputs[i].stream);
}

static size_t o_stream_tee_get_used_size(const struct ostream_private *stream)
{
	const struct tee_ostream *tee = tee_ostream_const(stream);
	size_t used = 0, own;
	unsigned int i;

	for (i = 0; i < tee->count; i++) {
		own = tee->outputs[i].lag;
		/* what an output has is not lost with the tee */
		if (!stream->closing)
			own = size_add_saturate(
				own,
				o_stream_get_buffer_used_size(
					tee->outputs[i].stream));
		used = I_MAX(used, own);
	}
	return used;
}

static size_t o_stream_tee_get_avail_size(const struct ostream_private *stream)
{
	return queue_room(tee_ostream_const(stream));
}

static void o_stream_tee_set_max_buffer_size(struct iostream_private *stream,
					     size_t max_size)
{
	struct tee_ostream *tee =
		container_of(stream, struct tee_ostream, ostream.iostream);
	unsigned int i;

	tee->ostream.max_buffer_size = max_size;
	for (i = 0; i < tee->count; i++)
		o_stream_set_max_buffer_size(tee->outputs[i].stream, max_size);
}

static void o_stream_tee_switch_ioloop_to(struct ostream_private *stream,
					  struct ioloop *ioloop)
{
	struct tee_ostream *tee = tee_ostream(stream);
	unsigned int i;

	stream->iostream.ioloop = ioloop;
	for (i = 0; i < tee->count; i++)
		o_stream_switch_ioloop_to(tee->outputs[i].stream, ioloop);
}

/* What is lost with an output is the tee's error, too, as it would be that of a stream
   on top of a parent. */
static void close_output(struct tee_ostream *tee, struct ostream *output)
{
	const struct ostream *s = output;

	o_stream_close(output);
	while (s != NULL && s->real_stream->iostream.error == NULL)
		s = s->real_stream->parent;
	if (s != NULL)
		(void)o_stream_fail(&tee->ostream, output->stream_errno, "%s",
				    o_stream_get_error(output));
}

static void o_stream_tee_close(struct iostream_private *stream,
			       bool close_parent)
{
	struct tee_ostream *tee =
		container_of(stream, struct tee_ostream, ostream.iostream);
	unsigned int i;

	for (i = 0; i < tee->count; i++) {
		unwatch(&tee->outputs[i]);
		if (close_parent)
			close_output(tee, tee->outputs[i].stream);
	}
}

static void o_stream_tee_destroy(struct iostream_private *stream)
{
	struct tee_ostream *tee =
		container_of(stream, struct tee_ostream, ostream.iostream);
	unsigned int i;

	byte_queue_free(&tee->queue);
	for (i = 0; i < tee->count; i++) {
		o_stream_abandon_below(&tee->ostream, tee->outputs[i].stream);
		o_stream_unref(&tee->outputs[i].stream);
	}
	i_free(tee->outputs);
}

static void tee_add(struct tee_ostream *tee, struct ostream *stream)
{
	struct tee_output *output = &tee->outputs[tee->count++];
	struct ostream_private *s = &tee->ostream;

	o_stream_ref(stream);
	output->tee = tee;
	output->stream = stream;
	s->ostream.blocking = s->ostream.blocking && stream->blocking;
	s->max_buffer_size =
		I_MAX(s->max_buffer_size, o_stream_get_max_buffer_size(stream));
	s->iostream.depth = I_MAX(s->iostream.depth,
				  stream->real_stream->iostream.depth + 1);
}

static void set_methods(struct ostream_private *s)
{
	s->iostream.close = o_stream_tee_close;
	s->iostream.destroy = o_stream_tee_destroy;
	s->iostream.set_max_buffer_size = o_stream_tee_set_max_buffer_size;
	s->cork = o_stream_tee_cork;
	s->flush = o_stream_tee_flush;
	s->abort = o_stream_tee_abort;
	s->mark_checked = o_stream_tee_mark_checked;
	s->set_flush_callback = o_stream_tee_set_flush_callback;
	s->flush_pending = o_stream_tee_flush_pending;
	s->get_buffer_used_size = o_stream_tee_get_used_size;
	s->get_buffer_avail_size = o_stream_tee_get_avail_size;
	s->sendv = o_stream_tee_sendv;
	s->switch_ioloop_to = o_stream_tee_switch_ioloop_to;
}

struct ostream *o_stream_create_tee(struct ostream *outputs[])
{
	struct tee_ostream *tee = i_new(struct tee_ostream, 1);
	struct ostream *stream;
	unsigned int count = 0, i;

	while (outputs[count] != NULL)
		count++;
	tee->outputs = i_new(struct tee_output, I_MAX(count, 1U));
	set_methods(&tee->ostream);
	stream = o_stream_create(&tee->ostream, NULL, -1);
	stream->blocking = true;
	for (i = 0; i < count; i++)
		tee_add(tee, outputs[i]);
	if (tee->ostream.max_buffer_size == 0)
		tee->ostream.max_buffer_size = IO_BLOCK_SIZE;
	o_stream_set_name(stream, "(tee)");
	if (tee->ostream.iostream.depth > IOSTREAM_MAX_DEPTH)
		(void)o_stream_fail(&tee->ostream, ELOOP,
				    "more than %d streams on top of each other",
				    IOSTREAM_MAX_DEPTH);
	return stream;
}
