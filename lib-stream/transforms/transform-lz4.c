/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The LZ4 frame format, by liblz4. Its encoder wants room for a whole block at
   each call: where the window has less, it goes through a buffer. */

#include "config.h"
#include "block-cache.h"
#include "macros.h"
#include "mem.h"
#include "transform-cache.h"
#include "transforms.h"

#include <errno.h>
#include <lz4frame.h>
#include <string.h>

#define LZ4_CHUNK ((size_t)64 * 1024)
#define LZ4_MAX_LEVEL 12

static enum transform_status lz4_failed(struct transform *t, const char *what,
					size_t code)
{
	const char *name = LZ4F_getErrorName(code);

	if (strstr(name, "allocation") != NULL)
		return transform_error(t, ENOMEM, "out of memory");
	return transform_error(t, EINVAL, "%s: %s", what, name);
}

/*
 * Encoding
 */

struct lz4_encoder {
	struct transform transform;
	LZ4F_cctx *ctx;
	LZ4F_preferences_t prefs;
	size_t bound;          /* for LZ4_CHUNK bytes, or a header, or an end */
	unsigned char *buffer; /* of bound bytes, had only while it is used */
	size_t start, end;     /* what waits in it */
	bool begun;            /* the frame header is written */
	bool op_done;          /* the flush or the end is written */
};

static struct lz4_encoder *lz4_encoder(struct transform *t)
{
	return container_of(t, struct lz4_encoder, transform);
}

/* Puts out what waits; whether all of it is out. */
static bool lz4_drain(struct lz4_encoder *lz4, struct transform_io *io)
{
	size_t size =
		I_MIN(lz4->end - lz4->start, (size_t)(io->out_end - io->out));

	if (size > 0)
		memcpy(io->out, lz4->buffer + lz4->start, size);
	io->out += size;
	lz4->start += size;
	if (lz4->start < lz4->end)
		return false;
	lz4->start = lz4->end = 0;
	return true;
}

/* One call of liblz4: a header, a chunk, or what the operation puts out. */
static size_t lz4_call(struct lz4_encoder *lz4, struct transform_io *io,
		       enum transform_op op, unsigned char *dest, size_t room)
{
	size_t size = I_MIN((size_t)(io->in_end - io->in), LZ4_CHUNK), ret;

	if (!lz4->begun) {
		lz4->begun = true;
		return LZ4F_compressBegin(lz4->ctx, dest, room, &lz4->prefs);
	}
	if (size > 0) {
		ret = LZ4F_compressUpdate(lz4->ctx, dest, room, io->in, size,
					  NULL);
		io->in += size;
		return ret;
	}
	lz4->op_done = true;
	return op == TRANSFORM_SYNC ?
		LZ4F_flush(lz4->ctx, dest, room, NULL) :
		LZ4F_compressEnd(lz4->ctx, dest, room, NULL);
}

/* False: failed. */
static bool lz4_step(struct lz4_encoder *lz4, struct transform_io *io,
		     enum transform_op op)
{
	size_t room = (size_t)(io->out_end - io->out), ret;
	bool direct = room >= lz4->bound;

	if (!direct && lz4->buffer == NULL) {
		lz4->buffer = block_get(lz4->bound);
		if (lz4->buffer == NULL) {
			(void)transform_error(&lz4->transform, ENOMEM,
					      "out of memory");
			return false;
		}
	}
	ret = lz4_call(lz4, io, op, direct ? io->out : lz4->buffer,
		       direct ? room : lz4->bound);
	if (LZ4F_isError(ret)) {
		(void)lz4_failed(&lz4->transform, "compression failed", ret);
		return false;
	}
	if (direct)
		io->out += ret;
	else
		lz4->end = ret;
	return true;
}

static enum transform_status
lz4_encode(struct transform *t, struct transform_io *io, enum transform_op op)
{
	struct lz4_encoder *lz4 = lz4_encoder(t);
	bool more;

	for (;;) {
		if (!lz4_drain(lz4, io))
			return TRANSFORM_NEED_OUT;
		more = io->in < io->in_end;
		if (!more && op == TRANSFORM_RUN)
			return TRANSFORM_NEED_IN;
		if (!more && lz4->op_done) {
			lz4->op_done = false;
			block_put(&lz4->buffer, lz4->bound, 0);
			return TRANSFORM_DONE;
		}
		if (!lz4_step(lz4, io, op))
			return TRANSFORM_ERROR;
	}
}

static void lz4_encoder_reset(struct transform *t)
{
	struct lz4_encoder *lz4 = lz4_encoder(t);

	/* the next LZ4F_compressBegin() resets the context */
	block_put(&lz4->buffer, lz4->bound, 0);
	lz4->start = lz4->end = 0;
	lz4->begun = false;
	lz4->op_done = false;
}

static void lz4_encoder_real_free(struct transform *t)
{
	struct lz4_encoder *lz4 = lz4_encoder(t);

	block_put(&lz4->buffer, lz4->bound, 0);
	(void)LZ4F_freeCompressionContext(lz4->ctx);
	i_free(lz4);
}

static void lz4_encoder_free(struct transform *t)
{
	if (!transform_cache_put(t, lz4_encoder(t)->prefs.compressionLevel,
				 lz4_encoder_real_free))
		lz4_encoder_real_free(t);
}

static const struct transform_class lz4_encoder_class = {
	.name = "lz4",
	.flags = TRANSFORM_TRAILER | TRANSFORM_CAN_SYNC,
	.min_out = 1,
	.good_in = LZ4_CHUNK,
	.max_state = 512 * 1024,
	.process = lz4_encode,
	.reset = lz4_encoder_reset,
	.free = lz4_encoder_free,
};

struct transform *transform_create_lz4_encoder(int level)
{
	const struct transform_class *class_ = &lz4_encoder_class;
	struct lz4_encoder *lz4;
	struct transform *t;

	if (level < 0 || level > LZ4_MAX_LEVEL)
		return transform_create_error(class_->name, class_->flags,
					      EINVAL,
					      "level %d is not within 0 to %d",
					      level, LZ4_MAX_LEVEL);
	t = transform_cache_get(class_, level);
	if (t != NULL)
		return t;
	lz4 = i_new(struct lz4_encoder, 1);
	lz4->transform.class_ = class_;
	lz4->prefs.compressionLevel = level;
	lz4->prefs.frameInfo.blockSizeID = LZ4F_max64KB;
	lz4->prefs.frameInfo.blockMode = LZ4F_blockLinked;
	lz4->prefs.frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled;
	lz4->bound = LZ4F_compressBound(LZ4_CHUNK, &lz4->prefs);
	if (LZ4F_isError(
		    LZ4F_createCompressionContext(&lz4->ctx, LZ4F_VERSION))) {
		i_free(lz4);
		return transform_create_error(class_->name, class_->flags,
					      ENOMEM, "out of memory");
	}
	return &lz4->transform;
}

/*
 * Decoding
 */

struct lz4_decoder {
	struct transform transform;
	LZ4F_dctx *ctx;
};

static struct lz4_decoder *lz4_decoder(struct transform *t)
{
	return container_of(t, struct lz4_decoder, transform);
}

static enum transform_status lz4_decode(struct transform *t,
					struct transform_io *io,
					enum transform_op op ATTR_UNUSED)
{
	struct lz4_decoder *lz4 = lz4_decoder(t);
	size_t in_size, out_size, ret;

	do {
		in_size = (size_t)(io->in_end - io->in);
		out_size = (size_t)(io->out_end - io->out);
		ret = LZ4F_decompress(lz4->ctx, io->out, &out_size, io->in,
				      &in_size, NULL);
		if (LZ4F_isError(ret))
			return lz4_failed(t, "the data is damaged", ret);
		io->in += in_size;
		io->out += out_size;
		if (ret == 0)
			return TRANSFORM_END;
		if (io->out == io->out_end)
			return TRANSFORM_NEED_OUT;
	} while (io->in < io->in_end && (in_size > 0 || out_size > 0));
	if (io->in < io->in_end)
		return transform_error(t, EINVAL, "the data is damaged");
	return TRANSFORM_NEED_IN;
}

/* The magic of a frame, or of one to be skipped (its first byte varies). */
static bool lz4_may_begin(const unsigned char *data, size_t size)
{
	static const unsigned char frame[] = { 0x04, 0x22, 0x4d, 0x18 };
	static const unsigned char skipped[] = { 0x50, 0x2a, 0x4d, 0x18 };

	size = I_MIN(size, sizeof(frame));
	if (memcmp(data, frame, size) == 0)
		return true;
	return (data[0] & 0xf0) == skipped[0] &&
		memcmp(data + 1, skipped + 1, size - 1) == 0;
}

static void lz4_decoder_reset(struct transform *t)
{
	LZ4F_resetDecompressionContext(lz4_decoder(t)->ctx);
}

static void lz4_decoder_real_free(struct transform *t)
{
	(void)LZ4F_freeDecompressionContext(lz4_decoder(t)->ctx);
	i_free(lz4_decoder(t));
}

static void lz4_decoder_free(struct transform *t)
{
	if (!transform_cache_put(t, 0, lz4_decoder_real_free))
		lz4_decoder_real_free(t);
}

static const struct transform_class lz4_decoder_class = {
	.name = "lz4",
	.flags = TRANSFORM_DECODER | TRANSFORM_MEMBERS,
	.min_out = 1,
	.max_state = 8 * 1024 * 1024 + 256 * 1024,
	.process = lz4_decode,
	.reset = lz4_decoder_reset,
	.free = lz4_decoder_free,
	.may_begin = lz4_may_begin,
};

struct transform *transform_create_lz4_decoder(void)
{
	const struct transform_class *class_ = &lz4_decoder_class;
	struct transform *t = transform_cache_get(class_, 0);
	struct lz4_decoder *lz4;

	if (t != NULL)
		return t;
	lz4 = i_new(struct lz4_decoder, 1);
	lz4->transform.class_ = class_;
	if (LZ4F_isError(
		    LZ4F_createDecompressionContext(&lz4->ctx, LZ4F_VERSION))) {
		i_free(lz4);
		return transform_create_error(class_->name, class_->flags,
					      ENOMEM, "out of memory");
	}
	return &lz4->transform;
}
