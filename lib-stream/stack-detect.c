/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* A stream that looks at its parent's first bytes, puts the decoder for them on
   top, looks at what that gives, and so on; and then shows what came out. */

#include "config.h"
#include "stack-detect.h"
#include "age-keys.h"
#include "istream-private.h"
#include "stream-options.h"
#include "transform.h"

#include <errno.h>
#include <string.h>

/* As many bytes as every kind needs to be recognised; with a frame that is skipped before
   it, where that is short. */
#define PREFIX_MAX STREAM_KIND_HEAD_MAX

struct detect_istream {
	struct istream_private istream;
	struct stream_context context;
	unsigned int layers_max;
	bool try_plain;  /* unknown input is passed on */
	bool encryption; /* encrypted input counts, too */
	/* of each layer: i_stream_transform_set_limits() */
	uoff_t max_plain;
	unsigned int max_ratio;

	bool done;
	/* what the next layer would read; at the end, what is shown */
	struct istream *top;
	const struct stream_kind *kinds[STACK_DETECT_LAYERS_MAX];
	struct istream *layers[STACK_DETECT_LAYERS_MAX];
	unsigned int count;
	/* bytes that had to be taken from `top` to see enough of them */
	unsigned char taken[PREFIX_MAX];
	size_t taken_size;
	size_t wanted; /* bytes of `top` to look at; 0: not known yet */
};

static struct detect_istream *detect_istream(struct istream_private *stream)
{
	return container_of(stream, struct detect_istream, istream);
}

/* The first bytes of `top`, without taking them, unless its buffer is too small
   for that. 1 with `prefix` filled as far as there are bytes, or 0. An error of
   the input is for the reader, who gets the bytes before it first. */
static int look(struct detect_istream *d, unsigned char prefix[PREFIX_MAX],
		size_t *size_r)
{
	const unsigned char *data;
	size_t size, wanted = d->wanted;
	int ret;

	for (;;) {
		ret = i_stream_read_bytes(d->top, &data, &size,
					  wanted - d->taken_size);
		if (ret == 0)
			return 0;
		size = I_MIN(size, wanted - d->taken_size);
		memcpy(prefix, d->taken, d->taken_size);
		if (size > 0)
			memcpy(prefix + d->taken_size, data, size);
		*size_r = d->taken_size + size;
		if (ret != -2)
			return 1;
		memcpy(d->taken + d->taken_size, data, size);
		d->taken_size += size;
		i_stream_skip(d->top, size);
	}
}

/* Puts what was taken before the rest again. */
static void replay(struct detect_istream *d)
{
	struct istream *parts[3], *input;

	if (d->taken_size == 0)
		return;
	parts[0] = i_stream_create_copy_from_data(d->taken, d->taken_size);
	parts[1] = d->top;
	parts[2] = NULL;
	input = i_stream_create_concat(parts);
	i_stream_set_name(input, i_stream_get_name(d->top));
	i_stream_unref(&parts[0]);
	i_stream_unref(&d->top);
	d->top = input;
	d->taken_size = 0;
}

static void add_layer(struct detect_istream *d, const struct stream_kind *kind)
{
	struct stream_options options;
	struct istream *parent = d->top;
	struct transform *decoder;
	char *error;

	stream_options_init(&options, kind);
	if (stream_options_load_keys(&options, kind, false, &d->context,
				     &error) < 0) {
		decoder = transform_create_error(kind->name, TRANSFORM_DECODER,
						 errno, "%s", error);
		i_free(error);
	} else {
		decoder = stream_kind_transform(kind, false, &options);
	}
	stream_options_free(&options);
	d->top = i_stream_create_transform(parent, decoder);
	i_stream_transform_set_limits(d->top, d->max_plain, d->max_ratio);
	i_stream_unref(&parent);
	d->kinds[d->count] = kind;
	d->layers[d->count++] = d->top;
}

/* Nothing is known, and unknown is not allowed. */
static ssize_t unknown_input(struct detect_istream *d, size_t size)
{
	struct istream_private *s = &d->istream;

	if (d->top->stream_errno != 0)
		return i_stream_fail(s, d->top->stream_errno, "%s",
				     i_stream_get_error(d->top));
	if (size == 0)
		return i_stream_fail(s, EPIPE,
				     "%s: the input is empty, not compressed",
				     i_stream_get_name(s->parent));
	return i_stream_fail(s, EINVAL,
			     "%s: not in a compressed format that is known",
			     i_stream_get_name(s->parent));
}

/* What `top` begins with, NULL: unknown, and how much of it there was to look at. 1, or
   0: it may become known. */
static int recognise(struct detect_istream *d,
		     const struct stream_kind **kind_r, size_t *size_r)
{
	unsigned char prefix[PREFIX_MAX];
	size_t wanted;

	if (d->wanted == 0)
		(void)stream_kind_recognise("", 0, &d->wanted);
	i_assert(d->wanted <= PREFIX_MAX);
	for (;;) {
		if (look(d, prefix, size_r) == 0)
			return 0;
		*kind_r = stream_kind_recognise(prefix, *size_r, &wanted);
		if (*kind_r != NULL || *size_r < d->wanted ||
		    wanted <= d->wanted || wanted > PREFIX_MAX)
			break;
		/* what it is stands behind a frame that is skipped */
		d->wanted = wanted;
	}
	d->wanted = 0;
	return 1;
}

/* 1: `top` is what to show; 0, -1. */
static ssize_t detect(struct detect_istream *d)
{
	const struct stream_kind *kind;
	size_t size;

	while (d->count < d->layers_max) {
		if (recognise(d, &kind, &size) == 0)
			return 0;
		if (kind != NULL && !d->encryption &&
		    (kind->flags &
		     (STREAM_KIND_ENCRYPTED | STREAM_KIND_ARMOR)) != 0)
			kind = NULL;
		if (kind == NULL && !d->try_plain)
			return unknown_input(d, size);
		replay(d);
		if (kind == NULL)
			break;
		add_layer(d, kind);
	}
	return 1;
}

static ssize_t i_stream_detect_read(struct istream_private *stream)
{
	struct detect_istream *d = detect_istream(stream);
	struct istream *shown;
	ssize_t ret;

	if (!d->done) {
		ret = detect(d);
		if (ret <= 0)
			return ret;
		/* from here on what was made is the parent that is shown */
		d->done = true;
		shown = d->top;
		d->top = stream->parent;
		stream->parent = shown;
		stream->parent_start_offset = shown->v_offset;
		stream->istream.blocking = shown->blocking;
		stream->istream.seekable = shown->seekable;
	}
	return i_stream_view_parent(stream, UOFF_T_MAX);
}

static void i_stream_detect_seek(struct istream_private *stream,
				 uoff_t v_offset, bool mark ATTR_UNUSED)
{
	i_stream_reset_buffer(stream, v_offset);
}

static int i_stream_detect_stat(struct istream_private *stream, bool exact)
{
	const struct stat *st;

	if (!detect_istream(stream)->done)
		(void)i_stream_read(&stream->istream);
	if (stream->istream.stream_errno != 0 ||
	    i_stream_stat(stream->parent, exact, &st) < 0) {
		i_stream_copy_error_from_parent(stream);
		return -1;
	}
	stream->statbuf = *st;
	/* what is below may be larger or smaller */
	if (!detect_istream(stream)->done)
		stream->statbuf.st_size = -1;
	return 0;
}

static void i_stream_detect_set_limits(struct istream_private *stream,
				       uoff_t max_plain, unsigned int max_ratio)
{
	struct detect_istream *d = detect_istream(stream);
	unsigned int i;

	/* for the layers that are still to be found, too */
	d->max_plain = max_plain;
	d->max_ratio = max_ratio;
	for (i = 0; i < d->count; i++)
		i_stream_transform_set_limits(d->layers[i], max_plain,
					      max_ratio);
}

static void i_stream_detect_destroy(struct iostream_private *stream)
{
	struct detect_istream *d =
		container_of(stream, struct detect_istream, istream.iostream);

	i_stream_unref(&d->top);
	age_identities_unref(&d->context.identities);
}

static struct istream *create(struct istream *input,
			      const struct stream_context *context,
			      unsigned int layers_max, bool try_plain)
{
	struct detect_istream *d = i_new(struct detect_istream, 1);
	struct istream *stream;

	if (context != NULL && context->identities != NULL) {
		age_identities_ref(context->identities);
		d->context.identities = context->identities;
	}
	d->layers_max = layers_max;
	d->try_plain = try_plain;
	i_stream_ref(input);
	d->top = input;
	d->istream.iostream.destroy = i_stream_detect_destroy;
	d->istream.read = i_stream_detect_read;
	d->istream.seek = i_stream_detect_seek;
	d->istream.stat = i_stream_detect_stat;
	d->istream.set_limits = i_stream_detect_set_limits;
	stream = i_stream_create(&d->istream, input, -1);
	stream->readable_fd = false;
	return stream;
}

struct istream *i_stream_create_decompress(struct istream *input,
					   enum istream_decompress_flags flags)
{
	return create(input, NULL, 1,
		      (flags & ISTREAM_DECOMPRESS_FLAG_TRY) != 0);
}

struct istream *i_stream_create_auto(struct istream *input,
				     const struct stream_context *context)
{
	struct istream *stream =
		create(input, context, STACK_DETECT_LAYERS_MAX, true);

	detect_istream(stream->real_stream)->encryption = true;
	return stream;
}

static struct detect_istream *auto_istream(struct istream *stream)
{
	i_assert(stream->real_stream->read == i_stream_detect_read);
	return detect_istream(stream->real_stream);
}

unsigned int i_stream_auto_layer_count(struct istream *stream)
{
	return auto_istream(stream)->count;
}

const struct stream_kind *i_stream_auto_layer(struct istream *stream,
					      unsigned int i,
					      struct istream **layer_r)
{
	struct detect_istream *d = auto_istream(stream);

	i_assert(i < d->count);
	*layer_r = d->layers[i];
	return d->kinds[i];
}
