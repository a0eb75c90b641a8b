/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* A stream that looks at its parent's first bytes, makes the decoder for them,
   and shows what that gives. */

#include "config.h"
#include "stack-detect.h"
#include "age-keys.h"
#include "istream-private.h"

#include <errno.h>
#include <string.h>

#define AGE_MAGIC "age-encryption.org/v1\n"
/* The longest magic. */
#define PREFIX_SIZE (sizeof(AGE_MAGIC) - 1)

struct magic {
	const char *kind;
	const char *bytes;
	size_t size;
};

static const struct magic magics[] = {
	{ "gzip", "\x1f\x8b", 2 },
	{ "zstd", "\x28\xb5\x2f\xfd", 4 },
	{ "lz4", "\x04\x22\x4d\x18", 4 },
	{ "age", AGE_MAGIC, PREFIX_SIZE },
};

enum detect_flags {
	DETECT_TRY = 0x01, /* unknown input is passed on */
	DETECT_AGE = 0x02  /* age counts, and every layer is undone */
};

struct detect_istream {
	struct istream_private istream;
	unsigned int flags;
	unsigned int layer; /* how many were undone already */
	struct stream_keys keys;
	/* what was made for the input; once it is shown, the stream it was made
	   for; NULL: nothing was looked at yet */
	struct istream *inner;
	const char *kind; /* what was found, NULL: nothing */
	char *found;
	unsigned char prefix[PREFIX_SIZE];
	size_t prefix_size;
};

static struct detect_istream *detect_istream(struct istream_private *stream)
{
	return container_of(stream, struct detect_istream, istream);
}

static struct istream *detect_create(struct istream *input,
				     const struct stream_keys *keys,
				     unsigned int flags, unsigned int layer);

static const struct stream_kind *recognise(const struct detect_istream *d)
{
	unsigned int i;

	if (d->layer == STACK_DETECT_LAYERS_MAX)
		return NULL;
	for (i = 0; i < N_ELEMENTS(magics); i++) {
		if (strcmp(magics[i].kind, "age") == 0 &&
		    (d->flags & DETECT_AGE) == 0)
			continue;
		if (d->prefix_size >= magics[i].size &&
		    memcmp(d->prefix, magics[i].bytes, magics[i].size) == 0)
			return stream_kind_lookup(magics[i].kind,
						  strlen(magics[i].kind));
	}
	return NULL;
}

/* The parent from its beginning on: as it is, or where it cannot go back, with
   the prefix before it. */
static struct istream *replay(struct detect_istream *d)
{
	struct istream_private *s = &d->istream;
	struct istream *parts[3], *input;

	parts[0] = i_stream_create_copy_from_data(d->prefix, d->prefix_size);
	parts[1] = s->parent;
	parts[2] = NULL;
	input = i_stream_create_concat(parts);
	i_stream_set_name(input, i_stream_get_name(s->parent));
	i_stream_unref(&parts[0]);
	return input;
}

/* Collects the prefix without taking it from the parent, unless its buffer is
   too small for that. 1, 0: not now, -1: failed. */
static int read_prefix(struct detect_istream *d, bool *taken_r)
{
	struct istream_private *s = &d->istream;
	const unsigned char *data;
	size_t size;
	int ret;

	*taken_r = d->prefix_size > 0;
	for (;;) {
		ret = i_stream_read_parent(s, &data, &size,
					   PREFIX_SIZE - 1 - d->prefix_size);
		if (ret == 0)
			return 0;
		if (ret == -1 && s->parent->stream_errno != 0) {
			i_stream_copy_error_from_parent(s);
			return -1;
		}
		size = I_MIN(size, PREFIX_SIZE - d->prefix_size);
		if (size > 0)
			memcpy(d->prefix + d->prefix_size, data, size);
		if (ret != -2 && !*taken_r) {
			d->prefix_size += size;
			return 1;
		}
		i_stream_skip_parent(s, size);
		d->prefix_size += size;
		*taken_r = true;
		if (d->prefix_size == PREFIX_SIZE || ret == -1)
			return 1;
	}
}

static int unknown_input(struct detect_istream *d)
{
	struct istream_private *s = &d->istream;

	if (d->prefix_size == 0)
		return (int)i_stream_fail(s, EPIPE, "%s: the input is empty",
					  i_stream_get_name(s->parent));
	return (int)i_stream_fail(s, EINVAL,
				  "%s: not in a compressed format that is "
				  "known",
				  i_stream_get_name(s->parent));
}

/* 1: inner is there; 0, -1. */
static int detect(struct detect_istream *d)
{
	static const struct stream_options no_options;
	const struct stream_kind *kind;
	struct istream *input, *decoder;
	bool taken;
	int ret;

	ret = read_prefix(d, &taken);
	if (ret <= 0)
		return ret;
	kind = recognise(d);
	if (kind == NULL && (d->flags & DETECT_TRY) == 0)
		return unknown_input(d);
	if (taken) {
		input = replay(d);
	} else {
		input = d->istream.parent;
		i_stream_ref(input);
	}
	if (kind != NULL) {
		d->kind = kind->name;
		decoder = i_stream_create_transform(
			input, kind->decoder(&no_options, &d->keys));
		i_stream_unref(&input);
		input = decoder;
		if ((d->flags & DETECT_AGE) != 0) {
			input = detect_create(decoder, &d->keys, d->flags,
					      d->layer + 1);
			i_stream_unref(&decoder);
		}
	}
	d->inner = input;
	return 1;
}

static ssize_t i_stream_detect_read(struct istream_private *stream)
{
	struct detect_istream *d = detect_istream(stream);
	struct istream *parent = stream->parent;
	ssize_t ret;

	if (d->inner == NULL) {
		ret = detect(d);
		if (ret <= 0)
			return ret;
		/* from here on what was made is the parent that is shown */
		stream->parent = d->inner;
		stream->parent_start_offset = d->inner->v_offset;
		stream->istream.blocking = d->inner->blocking;
		stream->istream.seekable = d->inner->seekable;
		d->inner = parent;
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

	if (detect_istream(stream)->inner == NULL)
		(void)i_stream_read(&stream->istream);
	if (stream->istream.stream_errno != 0 ||
	    i_stream_stat(stream->parent, exact, &st) < 0) {
		i_stream_copy_error_from_parent(stream);
		return -1;
	}
	stream->statbuf = *st;
	return 0;
}

static void i_stream_detect_destroy(struct iostream_private *stream)
{
	struct detect_istream *d =
		container_of(stream, struct detect_istream, istream.iostream);

	i_stream_unref(&d->inner);
	age_identities_unref(&d->keys.identities);
	i_free(d->found);
}

static struct istream *detect_create(struct istream *input,
				     const struct stream_keys *keys,
				     unsigned int flags, unsigned int layer)
{
	struct detect_istream *d = i_new(struct detect_istream, 1);
	struct istream *stream;

	if (keys != NULL && keys->identities != NULL) {
		age_identities_ref(keys->identities);
		d->keys.identities = keys->identities;
	}
	d->flags = flags;
	d->layer = layer;
	d->istream.iostream.destroy = i_stream_detect_destroy;
	d->istream.read = i_stream_detect_read;
	d->istream.seek = i_stream_detect_seek;
	d->istream.stat = i_stream_detect_stat;
	stream = i_stream_create(&d->istream, input, -1);
	stream->readable_fd = false;
	return stream;
}

struct istream *i_stream_create_decompress(struct istream *input,
					   enum istream_decompress_flags flags)
{
	return detect_create(
		input, NULL,
		(flags & ISTREAM_DECOMPRESS_FLAG_TRY) != 0 ? DETECT_TRY : 0, 0);
}

struct istream *i_stream_create_auto(struct istream *input,
				     const struct stream_keys *keys)
{
	return detect_create(input, keys, DETECT_TRY | DETECT_AGE, 0);
}

const char *i_stream_auto_found(struct istream *stream)
{
	struct detect_istream *top = detect_istream(stream->real_stream), *d;
	buffer_t *buf = buffer_create_dynamic(default_pool, 32);

	for (d = top; d->kind != NULL;
	     d = detect_istream(d->istream.parent->real_stream))
		buffer_append_printf(buf, "%s%s", d == top ? "" : " ", d->kind);
	(void)buffer_c_str(buf);
	i_free(top->found);
	top->found = buffer_free_without_data(&buf);
	return top->found;
}
