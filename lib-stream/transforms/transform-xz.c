/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The .xz format 1.1, and the older .lzma ("alone") format, by liblzma. */

#include "config.h"
#include "macros.h"
#include "mem.h"
#include "transform-cache.h"
#include "transforms.h"

#include <errno.h>
#include <string.h>

#define XZ_ENCODER_FLAGS (TRANSFORM_TRAILER | TRANSFORM_CAN_SYNC)
#define XZ_DECODER_FLAGS (TRANSFORM_DECODER | TRANSFORM_MEMBERS)
/* .lzma: its compressor cannot be made to give out what it has; nothing may
   follow the end. */
#define LZMA_ENCODER_FLAGS TRANSFORM_TRAILER
#define LZMA_DECODER_FLAGS (TRANSFORM_DECODER | TRANSFORM_EXACT)

/* What a decoder may take: enough for every preset, xz -9 needs 65 MiB. */
#define XZ_USUAL_MEMORY ((uint64_t)128 * 1024 * 1024)

#ifdef HAVE_LZMA

#include <lzma.h>

#define XZ_MAX_LEVEL 9
/* Contexts that take more than this are not kept for the next one. */
#define XZ_KEPT_MEMORY ((uint64_t)16 * 1024 * 1024)
/* Stream padding comes in fours, section 2.2. */
#define XZ_PADDING 4

static const unsigned char xz_magic[] = { 0xfd, '7', 'z', 'X', 'Z', 0 };

struct xz_transform {
	struct transform transform;
	lzma_stream stream;
	bool alone;          /* .lzma, not .xz */
	int level;           /* of an encoder */
	uint64_t max_memory; /* of a decoder */
	uint64_t memory;     /* the most that a stream before this one took */
	bool begun;
	unsigned int magic_size; /* how much of it was seen, reading .xz */
	/* a .xz stream was read to its end; zero bytes may follow */
	bool ended;
	unsigned int padding; /* how many of them came, modulo 4 */
};

static struct xz_transform *xz_transform(struct transform *t)
{
	return container_of(t, struct xz_transform, transform);
}

/* One call of liblzma. LZMA_OK, LZMA_STREAM_END, or an error; that it had nothing to
   do is none. */
static lzma_ret xz_code(struct xz_transform *xz, struct transform_io *io,
			lzma_action action)
{
	lzma_ret ret;

	xz->stream.next_in = io->in;
	xz->stream.avail_in = (size_t)(io->in_end - io->in);
	xz->stream.next_out = io->out;
	xz->stream.avail_out = (size_t)(io->out_end - io->out);
	ret = lzma_code(&xz->stream, action);
	io->in = xz->stream.next_in;
	io->out = xz->stream.next_out;
	if (ret == LZMA_BUF_ERROR &&
	    (io->in == io->in_end || io->out == io->out_end))
		return LZMA_OK;
	return ret;
}

/* The next process() begins anew; liblzma uses the memory again. */
static void xz_reset(struct transform *t)
{
	struct xz_transform *xz = xz_transform(t);

	xz->begun = xz->ended = false;
	xz->magic_size = xz->padding = 0;
}

static void xz_real_free(struct transform *t)
{
	lzma_end(&xz_transform(t)->stream);
	i_free(xz_transform(t));
}

static struct transform *xz_create(const struct transform_class *class_,
				   bool alone, int level, uint64_t max_memory)
{
	struct transform *t = transform_cache_get(class_, level);
	struct xz_transform *xz;

	if (t == NULL) {
		xz = i_new(struct xz_transform, 1);
		xz->transform.class_ = class_;
		xz->alone = alone;
		xz->level = level;
		t = &xz->transform;
	}
	xz_transform(t)->max_memory = max_memory;
	return t;
}

/*
 * Encoding
 */

static lzma_ret xz_begin_encoding(struct xz_transform *xz)
{
	lzma_options_lzma options;

	if (!xz->alone)
		return lzma_easy_encoder(&xz->stream, (uint32_t)xz->level,
					 LZMA_CHECK_CRC64);
	if (lzma_lzma_preset(&options, (uint32_t)xz->level))
		return LZMA_OPTIONS_ERROR;
	return lzma_alone_encoder(&xz->stream, &options);
}

/* What is left to be done where all input was given to liblzma already. */
static lzma_action xz_last_action(const struct xz_transform *xz,
				  enum transform_op op)
{
	if (op == TRANSFORM_FINISH)
		return LZMA_FINISH;
	return op == TRANSFORM_SYNC && !xz->alone ? LZMA_SYNC_FLUSH : LZMA_RUN;
}

static enum transform_status
xz_encode(struct transform *t, struct transform_io *io, enum transform_op op)
{
	struct xz_transform *xz = xz_transform(t);
	lzma_action action;
	lzma_ret ret = LZMA_OK;

	if (!xz->begun)
		ret = xz_begin_encoding(xz);
	xz->begun = ret == LZMA_OK;
	while (ret == LZMA_OK) {
		/* once it flushes or finishes, it takes no more input */
		action = io->in < io->in_end ? LZMA_RUN :
					       xz_last_action(xz, op);
		ret = xz_code(xz, io, action);
		if (ret == LZMA_STREAM_END)
			return TRANSFORM_DONE;
		if (ret == LZMA_OK && io->out == io->out_end)
			return TRANSFORM_NEED_OUT;
		if (ret == LZMA_OK && io->in == io->in_end &&
		    xz_last_action(xz, op) == LZMA_RUN)
			return op == TRANSFORM_RUN ? TRANSFORM_NEED_IN :
						     TRANSFORM_DONE;
	}
	if (ret == LZMA_MEM_ERROR)
		return transform_error(t, ENOMEM, "out of memory");
	return transform_error(t, EIO, "%s failed (%d)", t->class_->name,
			       (int)ret);
}

static void xz_encoder_free(struct transform *t)
{
	int level = xz_transform(t)->level;

	if (lzma_easy_encoder_memusage((uint32_t)level) > XZ_KEPT_MEMORY ||
	    !transform_cache_put(t, level, xz_real_free))
		xz_real_free(t);
}

#define XZ_ENCODER_CLASS(kind, class_flags)                                   \
	{                                                                     \
		.name = kind, .flags = class_flags, .min_out = 1,             \
		.max_state = (size_t)700 * 1024 * 1024, .process = xz_encode, \
		.reset = xz_reset, .free = xz_encoder_free,                   \
	}

static const struct transform_class xz_encoder_class =
	XZ_ENCODER_CLASS("xz", XZ_ENCODER_FLAGS);
static const struct transform_class lzma_encoder_class =
	XZ_ENCODER_CLASS("lzma", LZMA_ENCODER_FLAGS);

static struct transform *xz_create_encoder(const struct transform_class *class_,
					   bool alone, int level)
{
	if (level < 0 || level > XZ_MAX_LEVEL)
		return transform_create_error(class_->name, class_->flags,
					      EINVAL,
					      "level %d is not within 0 to %d",
					      level, XZ_MAX_LEVEL);
	return xz_create(class_, alone, level, 0);
}

struct transform *transform_create_xz_encoder(int level)
{
	return xz_create_encoder(&xz_encoder_class, false, level);
}

struct transform *transform_create_lzma_encoder(int level)
{
	return xz_create_encoder(&lzma_encoder_class, true, level);
}

/*
 * Decoding
 */

/* What it may have: liblzma tells of the last stream, but keeps what one before it took
   where the last one has no block. */
static uint64_t xz_decoder_memory(const struct xz_transform *xz)
{
	uint64_t memory = lzma_memusage(&xz->stream);

	return I_MAX(memory, xz->memory);
}

static lzma_ret xz_begin_decoding(struct xz_transform *xz)
{
	xz->memory = xz_decoder_memory(xz);
	return xz->alone ? lzma_alone_decoder(&xz->stream, xz->max_memory) :
			   lzma_stream_decoder(&xz->stream, xz->max_memory,
					       LZMA_TELL_UNSUPPORTED_CHECK);
}

static enum transform_status xz_decode_failed(struct xz_transform *xz,
					      lzma_ret ret)
{
	struct transform *t = &xz->transform;

	switch (ret) {
	case LZMA_MEM_ERROR:
		return transform_error(t, ENOMEM, "out of memory");
	case LZMA_MEMLIMIT_ERROR:
		return transform_error(
			t, EINVAL,
			"the data needs %llu bytes of memory to be read, and "
			"%llu are allowed (the option memory=BYTES allows "
			"more)",
			(unsigned long long)lzma_memusage(&xz->stream),
			(unsigned long long)xz->max_memory);
	case LZMA_FORMAT_ERROR:
		return transform_error(t, EINVAL,
				       "the data is not in the %s format",
				       t->class_->name);
	case LZMA_UNSUPPORTED_CHECK:
		return transform_error(t, EINVAL,
				       "the data has a check of a kind that "
				       "is not supported");
	case LZMA_OPTIONS_ERROR:
		return transform_error(t, EINVAL,
				       "the data needs a filter, or another "
				       "option, that is not supported");
	default:
		return transform_error(t, EINVAL, "the data is damaged");
	}
}

/* Behind a stream: zero bytes, and what follows them is the adapter's. */
static enum transform_status xz_skip_padding(struct xz_transform *xz,
					     struct transform_io *io,
					     enum transform_op op)
{
	for (; io->in < io->in_end && *io->in == 0; io->in++)
		xz->padding = (xz->padding + 1) % XZ_PADDING;
	if (io->in == io->in_end && op != TRANSFORM_FINISH)
		return TRANSFORM_NEED_IN;
	if (xz->padding == 0)
		return TRANSFORM_END;
	return io->in == io->in_end ?
		TRANSFORM_NEED_IN :
		transform_error(&xz->transform, EINVAL,
				"the padding behind the data is damaged");
}

/* liblzma looks at a whole header only: what is cut and no .xz is not cut. Nothing
   comes out before the header, so all of it is at the beginning of windows. */
static bool xz_check_magic(struct xz_transform *xz,
			   const struct transform_io *io)
{
	size_t size = I_MIN(sizeof(xz_magic) - xz->magic_size,
			    (size_t)(io->in_end - io->in));

	if (size > 0 && memcmp(io->in, xz_magic + xz->magic_size, size) != 0)
		return false;
	xz->magic_size += (unsigned int)size;
	return true;
}

static enum transform_status
xz_decode(struct transform *t, struct transform_io *io, enum transform_op op)
{
	struct xz_transform *xz = xz_transform(t);
	lzma_ret ret = LZMA_OK;

	if (xz->ended)
		return xz_skip_padding(xz, io, op);
	if (!xz->begun)
		ret = xz_begin_decoding(xz);
	if (!xz->alone && !xz_check_magic(xz, io))
		ret = LZMA_FORMAT_ERROR;
	xz->begun = ret == LZMA_OK;
	while (ret == LZMA_OK) {
		ret = xz_code(xz, io, LZMA_RUN);
		if (ret == LZMA_STREAM_END && xz->alone)
			return TRANSFORM_END;
		if (ret == LZMA_STREAM_END) {
			xz->ended = true;
			return xz_skip_padding(xz, io, op);
		}
		if (ret == LZMA_OK && io->out == io->out_end)
			return TRANSFORM_NEED_OUT;
		if (ret == LZMA_OK && io->in == io->in_end)
			return TRANSFORM_NEED_IN;
	}
	return xz_decode_failed(xz, ret);
}

static void xz_decoder_free(struct transform *t)
{
	if (xz_decoder_memory(xz_transform(t)) > XZ_KEPT_MEMORY ||
	    !transform_cache_put(t, 0, xz_real_free))
		xz_real_free(t);
}

static bool xz_may_begin(const unsigned char *data, size_t size)
{
	return memcmp(data, xz_magic, I_MIN(size, sizeof(xz_magic))) == 0;
}

static const struct transform_class xz_decoder_class = {
	.name = "xz",
	.flags = XZ_DECODER_FLAGS,
	.min_out = 1,
	.max_state = XZ_USUAL_MEMORY,
	.process = xz_decode,
	.reset = xz_reset,
	.free = xz_decoder_free,
	.may_begin = xz_may_begin,
};

static const struct transform_class lzma_decoder_class = {
	.name = "lzma",
	.flags = LZMA_DECODER_FLAGS,
	.min_out = 1,
	.max_state = XZ_USUAL_MEMORY,
	.process = xz_decode,
	.reset = xz_reset,
	.free = xz_decoder_free,
};

struct transform *transform_create_xz_memory_decoder(uint64_t max_memory)
{
	return xz_create(&xz_decoder_class, false, 0, max_memory);
}

struct transform *transform_create_lzma_memory_decoder(uint64_t max_memory)
{
	return xz_create(&lzma_decoder_class, true, 0, max_memory);
}

#else

static struct transform *not_built(const char *name, unsigned int flags)
{
	return transform_create_error(name, flags, ENOTSUP,
				      "this library was built without xz");
}

struct transform *transform_create_xz_encoder(int level ATTR_UNUSED)
{
	return not_built("xz", XZ_ENCODER_FLAGS);
}

struct transform *transform_create_lzma_encoder(int level ATTR_UNUSED)
{
	return not_built("lzma", LZMA_ENCODER_FLAGS);
}

struct transform *
transform_create_xz_memory_decoder(uint64_t max_memory ATTR_UNUSED)
{
	return not_built("xz", XZ_DECODER_FLAGS);
}

struct transform *
transform_create_lzma_memory_decoder(uint64_t max_memory ATTR_UNUSED)
{
	return not_built("lzma", LZMA_DECODER_FLAGS);
}

#endif

struct transform *transform_create_xz_decoder(void)
{
	return transform_create_xz_memory_decoder(XZ_USUAL_MEMORY);
}

struct transform *transform_create_lzma_decoder(void)
{
	return transform_create_lzma_memory_decoder(XZ_USUAL_MEMORY);
}
