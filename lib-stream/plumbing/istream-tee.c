/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Several readers of one stream, each at its own pace. The input keeps what the
   slowest of them has not read yet. Each shows the input's own buffer, or copies from
   there where bytes that it holds already are elsewhere. Nothing a reader holds moves
   when another one reads: a buffer that the input has done with is kept here for as
   long as a reader shows it. */

#include "config.h"
#include "block-cache.h"
#include "istream-private.h"

#include <string.h>

struct tee_child {
	struct istream_private istream;
	struct tee_istream *tee;
	struct tee_child *next;
	uoff_t input_offset; /* the first byte that it did not read */
	bool waiting;
};

/* A buffer that the input has given up. */
struct tee_buffer {
	struct tee_buffer *next;
	unsigned char *data;
	size_t size;
};

struct tee_istream {
	struct istream *input;
	struct tee_child *children;
	struct tee_buffer *buffers;
	bool lends; /* the input lends its buffer to this tee */
};

static struct tee_child *tee_child(struct istream_private *stream)
{
	return container_of(stream, struct tee_child, istream);
}

/* No loop sees that there is something for the children other than this one (NULL:
   for those that wait for a slower one). */
static void wake_others(const struct tee_istream *tee,
			const struct tee_child *reader)
{
	struct tee_child *child;

	for (child = tee->children; child != NULL; child = child->next) {
		if (reader == NULL ? child->waiting : child != reader)
			i_stream_set_input_pending(&child->istream.istream,
						   true);
	}
}

/* The input lets go of what every child has. */
static void drop_what_all_read(struct tee_istream *tee)
{
	uoff_t least = UOFF_T_MAX;
	struct tee_child *child;

	for (child = tee->children; child != NULL; child = child->next)
		least = I_MIN(least, child->input_offset);
	if (tee->children == NULL || least <= tee->input->v_offset)
		return;
	i_stream_skip(tee->input, least - tee->input->v_offset);
	wake_others(tee, NULL);
}

/*
 * Buffers that readers show
 */

static bool is_shown(const struct tee_istream *tee, const unsigned char *buffer)
{
	const struct tee_child *child;

	for (child = tee->children; child != NULL; child = child->next) {
		if (child->istream.is_lent && child->istream.buffer == buffer)
			return true;
	}
	return false;
}

/* The input is about to write over this, or to free it. */
static bool keep_shown(void *context, unsigned char *data, size_t size)
{
	struct tee_istream *tee = context;
	struct tee_buffer *buffer;

	if (!is_shown(tee, data))
		return false;
	buffer = i_new(struct tee_buffer, 1);
	buffer->data = data;
	buffer->size = size;
	buffer->next = tee->buffers;
	tee->buffers = buffer;
	return true;
}

static void free_what_nobody_shows(struct tee_istream *tee)
{
	struct tee_buffer **pos = &tee->buffers, *buffer;

	while ((buffer = *pos) != NULL) {
		if (is_shown(tee, buffer->data)) {
			pos = &buffer->next;
			continue;
		}
		*pos = buffer->next;
		block_put(&buffer->data, buffer->size, 0);
		i_free(buffer);
	}
}

/* Makes the child show these bytes of the input without a copy. False where they have
   to be copied: the input does not lend, or what the child holds is not right before
   them. */
static bool show_input(struct tee_child *child, const unsigned char *data,
		       size_t size)
{
	const struct istream_private *input = child->tee->input->real_stream;
	struct istream_private *s = &child->istream;
	size_t begin;

	if (!child->tee->lends || !i_stream_can_lend(input))
		return false;
	begin = (size_t)(data - input->buffer);
	if (s->skip == s->pos)
		i_stream_show_lent(s, input->buffer, begin, begin + size);
	else if (s->is_lent && s->buffer == input->buffer && s->pos == begin)
		s->pos += size;
	else
		return false;
	return true;
}

/*
 * Reading
 */

/* What the input has for the child and the child has not; reads where that is
   nothing. 1, or what i_stream_read() says. */
static ssize_t next_bytes(struct tee_child *child, const unsigned char **data_r,
			  size_t *size_r)
{
	struct istream *input = child->tee->input;
	size_t had;
	ssize_t ret = 0;

	for (;;) {
		had = (size_t)(child->input_offset - input->v_offset);
		*data_r = i_stream_get_data(input, size_r);
		if (*size_r > had) {
			*data_r += had;
			*size_r -= had;
			return 1;
		}
		ret = i_stream_read(input);
		if (ret != 0 && ret != -2)
			wake_others(child->tee, child);
		if (ret <= 0)
			return ret;
	}
}

static ssize_t i_stream_tee_read(struct istream_private *stream)
{
	struct tee_child *child = tee_child(stream);
	const unsigned char *data;
	unsigned char *dest;
	size_t size, used, room;
	ssize_t ret;

	child->waiting = false;
	ret = next_bytes(child, &data, &size);
	if (ret == -2) {
		/* it holds only what a slower child has to read first */
		child->waiting = true;
		return 0;
	}
	if (ret == -1)
		i_stream_copy_error_from_parent(stream);
	if (ret <= 0)
		return ret;
	used = stream->pos - stream->skip;
	if (used >= stream->max_buffer_size)
		return -2;
	size = I_MIN(size, stream->max_buffer_size - used);
	if (!show_input(child, data, size)) {
		dest = i_stream_reserve(stream, size, &room);
		if (dest == NULL)
			return -1;
		size = I_MIN(size, room);
		memcpy(dest, data, size);
		stream->pos += size;
	}
	child->input_offset += size;
	free_what_nobody_shows(child->tee);
	drop_what_all_read(child->tee);
	return (ssize_t)size;
}

/* The others go on without it. */
static void i_stream_tee_close(struct iostream_private *stream,
			       bool close_parent)
{
	struct tee_child *child =
		container_of(stream, struct tee_child, istream.iostream);
	struct tee_istream *tee = child->tee;
	struct tee_child **pos = &tee->children;

	/* what it holds is its own from now on: the input may go first */
	i_stream_own_lent(&child->istream);
	free_what_nobody_shows(tee);
	while (*pos != child) {
		i_assert(*pos != NULL);
		pos = &(*pos)->next;
	}
	*pos = child->next;
	if (tee->children != NULL) {
		drop_what_all_read(tee);
		return;
	}
	if (close_parent)
		i_stream_close(tee->input);
	if (tee->lends)
		tee->input->real_stream->offer_buffer = NULL;
	i_stream_unref(&tee->input);
	i_free(tee);
}

struct tee_istream *tee_i_stream_create(struct istream *input)
{
	struct tee_istream *tee = i_new(struct tee_istream, 1);

	i_stream_ref(input);
	tee->input = input;
	/* it asks one tee only */
	tee->lends = input->real_stream->offer_buffer == NULL;
	if (tee->lends) {
		input->real_stream->offer_buffer = keep_shown;
		input->real_stream->offer_context = tee;
	}
	return tee;
}

struct istream *tee_i_stream_create_child(struct tee_istream *tee)
{
	struct tee_child *child = i_new(struct tee_child, 1);
	struct istream *stream;

	child->tee = tee;
	child->next = tee->children;
	child->input_offset = tee->input->v_offset;
	tee->children = child;
	child->istream.iostream.close = i_stream_tee_close;
	child->istream.read = i_stream_tee_read;
	stream = i_stream_create(&child->istream, tee->input, -1);
	/* a slower child makes it wait whatever the input is */
	stream->blocking = false;
	stream->readable_fd = false;
	stream->seekable = false;
	return stream;
}

bool i_stream_waits_for_tee(struct istream *stream)
{
	for (; stream != NULL; stream = stream->real_stream->parent) {
		if (stream->real_stream->read == i_stream_tee_read)
			return tee_child(stream->real_stream)->waiting;
	}
	return false;
}

bool tee_i_stream_child_is_waiting(struct istream *input)
{
	i_assert(input->real_stream->read == i_stream_tee_read);
	return tee_child(input->real_stream)->waiting;
}
