/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Several streams over one parent: how they are flushed, finished and called when the
   parent has room, and how they come and go. */

#include "config.h"
#include "plumbing/ostream-multiplex-private.h"

static const struct multiplex_ochannel *
ochannel_const(const struct ostream_private *stream)
{
	return (const struct multiplex_ochannel *)(const void *)stream;
}

/*
 * Flushing
 */

/* Channels that are closed or were aborted do not count. */
static bool all_finished(const struct multiplex_ostream *multiplex)
{
	const struct multiplex_ochannel *channel;

	for (channel = multiplex->channels; channel != NULL;
	     channel = channel->next) {
		if (!channel->ostream.finished && !channel->ostream.aborted)
			return false;
	}
	return true;
}

/* The frames, and the parent: it is finished by the last channel. */
static int flush_all(struct multiplex_ochannel *channel,
		     enum ostream_flush_mode mode)
{
	enum ostream_flush_mode parent_mode;
	int ret, parent_ret;
	bool again = false;

	do {
		ret = multiplex_send_ready(channel);
		if (ret < 0)
			return -1;
		parent_mode = mode;
		if (ret == 0)
			parent_mode = OSTREAM_PUSH;
		else if (mode == OSTREAM_FINISH &&
			 !all_finished(channel->multiplex))
			parent_mode = OSTREAM_SYNC;
		parent_ret =
			o_stream_flush_parent(&channel->ostream, parent_mode);
		if (parent_ret < 0)
			return multiplex_fail_all(channel);
		/* a parent that is empty now may have room */
		again = !again && ret == 0 && parent_ret > 0;
	} while (again);
	return I_MIN(parent_ret, ret);
}

static int o_stream_multiplex_flush(struct ostream_private *stream,
				    enum ostream_flush_mode mode)
{
	struct multiplex_ochannel *channel = multiplex_ochannel(stream);
	int ret;

	multiplex_set_ready(channel, multiplex_used(channel));
	ret = flush_all(channel, mode);
	if (ret == 0)
		multiplex_wait(channel);
	return ret;
}

static void call_callback(struct multiplex_ochannel *channel)
{
	struct ostream *stream = &channel->ostream.ostream;

	o_stream_ref(stream);
	channel->ostream.append.open = false;
	channel->waiting = false;
	o_stream_cork_internal(stream);
	if (o_stream_call_flush_callback(&channel->ostream, 1) == 0)
		channel->waiting = true;
	o_stream_end_turn(&channel->ostream);
	o_stream_unref(&stream);
}

/* Those who wait, where nothing of theirs does; all of them about an error. */
static void call_callbacks(struct multiplex_ostream *multiplex)
{
	struct multiplex_ochannel *channel;

	for (channel = multiplex->channels; channel != NULL;
	     channel = multiplex->next_called) {
		multiplex->next_called = channel->next;
		if (multiplex->parent->stream_errno == 0 &&
		    (!channel->waiting || channel->ready > 0))
			continue;
		call_callback(channel);
	}
}

/* A channel whose finish left something to be done, or NULL. */
static struct multiplex_ochannel *
unfinished(const struct multiplex_ostream *multiplex)
{
	struct multiplex_ochannel *channel;

	for (channel = multiplex->channels; channel != NULL;
	     channel = channel->next) {
		if (channel->ostream.finished && !channel->ostream.finish_done)
			return channel;
	}
	return NULL;
}

static void multiplex_unref(struct multiplex_ostream *multiplex);

static int parent_writable(void *context)
{
	struct multiplex_ostream *multiplex = context;
	struct multiplex_ochannel *channel = unfinished(multiplex);
	int ret;

	if (multiplex->channels == NULL)
		return 1;
	multiplex->refcount++;
	if (channel != NULL)
		ret = flush_all(channel, OSTREAM_FINISH);
	else
		ret = flush_all(multiplex->channels, OSTREAM_PUSH);
	call_callbacks(multiplex);
	for (channel = multiplex->channels; channel != NULL && ret > 0;
	     channel = channel->next) {
		if (channel->waiting || channel->ready > 0)
			ret = 0;
	}
	multiplex_unref(multiplex);
	return ret;
}

static void
o_stream_multiplex_set_flush_callback(struct ostream_private *stream,
				      stream_flush_callback_t *callback,
				      void *context)
{
	stream->callback = callback;
	stream->context = context;
}

static void o_stream_multiplex_flush_pending(struct ostream_private *stream,
					     bool set)
{
	multiplex_ochannel(stream)->waiting = set;
	if (set)
		o_stream_set_flush_pending(stream->parent, true);
}

/*
 * Buffers
 */

/* A frame that was begun stays behind a channel that is closed, if there are
   others. */
static size_t o_stream_multiplex_get_used(const struct ostream_private *stream)
{
	const struct multiplex_ochannel *channel = ochannel_const(stream);
	const struct multiplex_ostream *multiplex = channel->multiplex;
	size_t used = multiplex_used(channel);

	if (!stream->closing ||
	    (multiplex->channels == channel && channel->next == NULL))
		used += byte_queue_used(&multiplex->framer.unsent);
	return size_add_saturate(used,
				 o_stream_get_buffer_used_size(stream->parent));
}

static size_t o_stream_multiplex_get_avail(const struct ostream_private *stream)
{
	size_t used = multiplex_used(ochannel_const(stream));

	return stream->max_buffer_size - I_MIN(stream->max_buffer_size, used);
}

/*
 * Life cycle
 */

static void drop_queue(struct multiplex_ochannel *channel)
{
	channel->ostream.append.open = false;
	byte_queue_free(&channel->queue);
	multiplex_set_ready(channel, 0);
}

/* The parent's trailer would have come with the last channel's finish. */
static void o_stream_multiplex_abort(struct ostream_private *stream)
{
	struct multiplex_ochannel *channel = multiplex_ochannel(stream);

	drop_queue(channel);
	if (o_stream_finish_reaches(stream, stream->parent) &&
	    all_finished(channel->multiplex))
		o_stream_give_up(stream->parent);
}

static void unlink_channel(struct multiplex_ochannel *channel)
{
	struct multiplex_ostream *multiplex = channel->multiplex;
	struct multiplex_ochannel **pos = &multiplex->channels;

	while (*pos != channel)
		pos = &(*pos)->next;
	*pos = channel->next;
	if (multiplex->next_called == channel)
		multiplex->next_called = channel->next;
}

static void o_stream_multiplex_close(struct iostream_private *stream,
				     bool close_parent)
{
	struct multiplex_ochannel *channel = container_of(
		stream, struct multiplex_ochannel, ostream.iostream);
	struct multiplex_ostream *multiplex = channel->multiplex;

	drop_queue(channel);
	unlink_channel(channel);
	if (close_parent && multiplex->channels == NULL)
		o_stream_close(multiplex->parent);
}

static void multiplex_unref(struct multiplex_ostream *multiplex)
{
	struct ostream_private *parent = multiplex->parent->real_stream;

	if (--multiplex->refcount > 0)
		return;
	if (parent->callback == parent_writable && parent->context == multiplex)
		bobbin_o_stream_set_flush_callback(&parent->ostream,
						   multiplex->old_callback,
						   multiplex->old_context);
	multiplex_framer_free(&multiplex->framer);
	o_stream_unref(&multiplex->parent);
	i_free(multiplex);
}

static void o_stream_multiplex_destroy(struct iostream_private *stream)
{
	struct multiplex_ochannel *channel = container_of(
		stream, struct multiplex_ochannel, ostream.iostream);

	multiplex_unref(channel->multiplex);
}

static void set_methods(struct ostream_private *s)
{
	s->iostream.close = o_stream_multiplex_close;
	s->iostream.destroy = o_stream_multiplex_destroy;
	s->flush = o_stream_multiplex_flush;
	s->sendv = o_stream_multiplex_sendv;
	s->abort = o_stream_multiplex_abort;
	s->set_flush_callback = o_stream_multiplex_set_flush_callback;
	s->flush_pending = o_stream_multiplex_flush_pending;
	s->get_buffer_used_size = o_stream_multiplex_get_used;
	s->get_buffer_avail_size = o_stream_multiplex_get_avail;
}

static struct ostream *add_channel(struct multiplex_ostream *multiplex,
				   uint8_t id)
{
	struct multiplex_ochannel **pos = &multiplex->channels, *channel;
	struct ostream *stream;

	while (*pos != NULL) {
		i_assert((*pos)->id != id);
		pos = &(*pos)->next;
	}
	channel = i_new(struct multiplex_ochannel, 1);
	*pos = channel;
	channel->multiplex = multiplex;
	multiplex->refcount++;
	channel->id = id;
	channel->ostream.shares_parent = true;
	channel->ostream.append.data = &channel->queue.data;
	channel->ostream.append.used = &channel->queue.end;
	channel->ostream.append.limit = &channel->queue.append_limit;
	set_methods(&channel->ostream);
	stream = o_stream_create(&channel->ostream, multiplex->parent, -1);
	channel->ostream.max_buffer_size = multiplex->bufsize;
	return stream;
}

struct ostream *o_stream_create_multiplex(struct ostream *output,
					  size_t bufsize,
					  enum ostream_multiplex_format format)
{
	struct multiplex_ostream *multiplex =
		i_new(struct multiplex_ostream, 1);
	struct ostream_private *parent = output->real_stream;

	o_stream_ref(output);
	multiplex->parent = output;
	multiplex->bufsize = bufsize == 0 ? IO_BLOCK_SIZE : bufsize;
	multiplex->old_callback = parent->callback;
	multiplex->old_context = parent->context;
	multiplex_framer_init(&multiplex->framer, format);
	o_stream_set_flush_callback(output, parent_writable, multiplex);
	return add_channel(multiplex, 0);
}

static struct multiplex_ochannel *get_channel(struct ostream *stream)
{
	i_assert(stream->real_stream->sendv == o_stream_multiplex_sendv);
	return multiplex_ochannel(stream->real_stream);
}

struct ostream *o_stream_multiplex_add_channel(struct ostream *stream,
					       uint8_t cid)
{
	return add_channel(get_channel(stream)->multiplex, cid);
}

uint8_t o_stream_multiplex_get_channel_id(struct ostream *stream)
{
	return get_channel(stream)->id;
}
