/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* gzip (RFC 1952), zlib (RFC 1950) and plain deflate (RFC 1951), by zlib. */

#include "config.h"
#include "macros.h"
#include "mem.h"
#include "transform-cache.h"
#include "transforms.h"

#include <errno.h>
#include <limits.h>
#include <zlib.h>

/* zlib repeats a sync marker when it had less than 7 bytes for the last one. */
#define DEFLATE_MIN_OUT 16
/* What zlib.h gives for a window and memory level of 15 and 8. */
#define DEFLATE_STATE ((size_t)268 * 1024)
#define INFLATE_STATE ((size_t)44 * 1024)

struct deflate_transform {
	struct transform transform;
	z_stream z;
	int level;
};

static struct deflate_transform *deflate_transform(struct transform *t)
{
	return container_of(t, struct deflate_transform, transform);
}

/* Points zlib at the windows; its counters are 32 bits wide. */
static void windows_to_z(z_stream *z, const struct transform_io *io)
{
	z->next_in = (Bytef *)(uintptr_t)io->in;
	z->avail_in =
		(uInt)I_MIN((size_t)(io->in_end - io->in), (size_t)UINT_MAX);
	z->next_out = io->out;
	z->avail_out =
		(uInt)I_MIN((size_t)(io->out_end - io->out), (size_t)UINT_MAX);
}

static void windows_from_z(const z_stream *z, struct transform_io *io)
{
	io->in += (size_t)(z->next_in - io->in);
	io->out = z->next_out;
}

/*
 * Encoding
 */

static enum transform_status deflate_process(struct transform *t,
					     struct transform_io *io,
					     enum transform_op op)
{
	z_stream *z = &deflate_transform(t)->z;
	int flush, ret;

	for (;;) {
		windows_to_z(z, io);
		flush = Z_NO_FLUSH;
		if (z->avail_in == (size_t)(io->in_end - io->in))
			flush = op == TRANSFORM_FINISH ? Z_FINISH :
				op == TRANSFORM_SYNC   ? Z_SYNC_FLUSH :
							 Z_NO_FLUSH;
		ret = deflate(z, flush);
		windows_from_z(z, io);
		if (ret == Z_STREAM_END)
			return TRANSFORM_DONE;
		if (ret != Z_OK && ret != Z_BUF_ERROR)
			return transform_error(t, EIO, "zlib failed: %s",
					       zError(ret));
		if (io->out == io->out_end)
			return TRANSFORM_NEED_OUT;
		if (io->in == io->in_end)
			return op == TRANSFORM_RUN ? TRANSFORM_NEED_IN :
						     TRANSFORM_DONE;
	}
}

static void deflate_reset_(struct transform *t)
{
	(void)deflateReset(&deflate_transform(t)->z);
}

static void deflate_real_free(struct transform *t)
{
	struct deflate_transform *d = deflate_transform(t);

	(void)deflateEnd(&d->z);
	i_free(d);
}

static void deflate_free(struct transform *t)
{
	if (!transform_cache_put(t, deflate_transform(t)->level,
				 deflate_real_free))
		deflate_real_free(t);
}

#define ENCODER_CLASS(class_name)                                       \
	{                                                               \
		.name = class_name,                                     \
		.flags = TRANSFORM_TRAILER | TRANSFORM_CAN_SYNC,        \
		.min_out = DEFLATE_MIN_OUT, .max_state = DEFLATE_STATE, \
		.process = deflate_process, .reset = deflate_reset_,    \
		.free = deflate_free                                    \
	}

static const struct transform_class gzip_encoder = ENCODER_CLASS("gzip");
static const struct transform_class zlib_encoder = ENCODER_CLASS("zlib");
static const struct transform_class deflate_encoder = ENCODER_CLASS("deflate");

static struct transform *create_encoder(const struct transform_class *class_,
					int window_bits, int level)
{
	struct deflate_transform *d;
	struct transform *t;

	if (level < -1 || level > 9)
		return transform_create_error(class_->name, class_->flags,
					      EINVAL,
					      "level %d is not within -1 to 9",
					      level);
	t = transform_cache_get(class_, level);
	if (t != NULL)
		return t;
	d = i_new(struct deflate_transform, 1);
	d->transform.class_ = class_;
	d->level = level;
	if (deflateInit2(&d->z, level, Z_DEFLATED, window_bits, 8,
			 Z_DEFAULT_STRATEGY) != Z_OK) {
		i_free(d);
		return transform_create_error(class_->name, class_->flags,
					      ENOMEM, "out of memory");
	}
	return &d->transform;
}

struct transform *transform_create_gzip_encoder(int level)
{
	return create_encoder(&gzip_encoder, 15 + 16, level);
}

struct transform *transform_create_zlib_encoder(int level)
{
	return create_encoder(&zlib_encoder, 15, level);
}

struct transform *transform_create_deflate_encoder(int level)
{
	return create_encoder(&deflate_encoder, -15, level);
}

/*
 * Decoding
 */

static enum transform_status inflate_failed(struct transform *t, int ret)
{
	const z_stream *z = &deflate_transform(t)->z;

	switch (ret) {
	case Z_MEM_ERROR:
		return transform_error(t, ENOMEM, "out of memory");
	case Z_NEED_DICT:
		return transform_error(t, EINVAL,
				       "the data needs a preset dictionary");
	default:
		return transform_error(t, EINVAL, "the data is damaged: %s",
				       z->msg != NULL ? z->msg : zError(ret));
	}
}

static enum transform_status inflate_process(struct transform *t,
					     struct transform_io *io,
					     enum transform_op op ATTR_UNUSED)
{
	z_stream *z = &deflate_transform(t)->z;
	int ret;

	for (;;) {
		windows_to_z(z, io);
		ret = inflate(z, Z_NO_FLUSH);
		windows_from_z(z, io);
		if (ret == Z_STREAM_END)
			return TRANSFORM_END;
		if (ret != Z_OK && ret != Z_BUF_ERROR)
			return inflate_failed(t, ret);
		if (io->out == io->out_end)
			return TRANSFORM_NEED_OUT;
		if (io->in == io->in_end)
			return TRANSFORM_NEED_IN;
	}
}

static bool gzip_may_begin(const unsigned char *data, size_t size)
{
	return data[0] == 0x1f && (size < 2 || data[1] == 0x8b);
}

static void inflate_reset_(struct transform *t)
{
	(void)inflateReset(&deflate_transform(t)->z);
}

static void inflate_real_free(struct transform *t)
{
	struct deflate_transform *d = deflate_transform(t);

	(void)inflateEnd(&d->z);
	i_free(d);
}

static void inflate_free(struct transform *t)
{
	if (!transform_cache_put(t, 0, inflate_real_free))
		inflate_real_free(t);
}

#define DECODER_CLASS(class_name, at_end)                                     \
	.name = class_name, .flags = TRANSFORM_DECODER | (at_end),            \
	.min_out = 1, .max_state = INFLATE_STATE, .process = inflate_process, \
	.reset = inflate_reset_, .free = inflate_free

static const struct transform_class gzip_decoder = {
	DECODER_CLASS("gzip", TRANSFORM_MEMBERS), .may_begin = gzip_may_begin
};
static const struct transform_class zlib_decoder = { DECODER_CLASS(
	"zlib", TRANSFORM_EXACT) };
static const struct transform_class deflate_decoder = { DECODER_CLASS(
	"deflate", TRANSFORM_EXACT) };

static struct transform *create_decoder(const struct transform_class *class_,
					int window_bits)
{
	struct deflate_transform *d;
	struct transform *t;

	t = transform_cache_get(class_, 0);
	if (t != NULL)
		return t;
	d = i_new(struct deflate_transform, 1);
	d->transform.class_ = class_;
	if (inflateInit2(&d->z, window_bits) != Z_OK) {
		i_free(d);
		return transform_create_error(class_->name, class_->flags,
					      ENOMEM, "out of memory");
	}
	return &d->transform;
}

struct transform *transform_create_gzip_decoder(void)
{
	return create_decoder(&gzip_decoder, 15 + 16);
}

struct transform *transform_create_zlib_decoder(void)
{
	return create_decoder(&zlib_decoder, 15);
}

struct transform *transform_create_deflate_decoder(void)
{
	return create_decoder(&deflate_decoder, -15);
}
