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
/* What liblz4 wants room for, for a chunk in blocks of 64 KiB: a block with its size,
   and the end mark and checksum. With less than that the output is copied. */
#define LZ4_GOOD_OUT (LZ4_CHUNK + 12)
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
	.good_out = LZ4_GOOD_OUT,
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
	LZ4F_dctx *ctx; /* NULL before it is needed */
	/* How much input liblz4 wants next. */
	size_t hint;
	unsigned char head[5]; /* a frame's first bytes: magic and flags */
	size_t head_size;
	bool in_frame; /* a frame was begun, and not read to its end */
};

/* The magics, as they are in a file; of one to be skipped the first byte varies. */
static const unsigned char frame_magic[] = { 0x04, 0x22, 0x4d, 0x18 };
static const unsigned char skipped_magic[] = { 0x50, 0x2a, 0x4d, 0x18 };
static const unsigned char legacy_magic[] = { 0x02, 0x21, 0x4c, 0x18 };
/* The flag that a dictionary's id follows. */
#define LZ4_FLAG_DICT_ID 0x01
/* The shortest frame header, and the size before each block. */
#define LZ4_HEADER_SIZE 7
#define LZ4_BLOCK_HEADER_SIZE 4

static struct lz4_decoder *lz4_decoder(struct transform *t)
{
	return container_of(t, struct lz4_decoder, transform);
}

/* Refuses by name what liblz4 calls damaged, or decodes to something else. The
   first calls take the whole head, since nothing comes out before it. */
static bool lz4_check_head(struct lz4_decoder *lz4,
			   const struct transform_io *io)
{
	size_t size = I_MIN(sizeof(lz4->head) - lz4->head_size,
			    (size_t)(io->in_end - io->in));
	const char *what = NULL;

	if (size == 0)
		return true;
	memcpy(lz4->head + lz4->head_size, io->in, size);
	lz4->head_size += size;
	if (lz4->head_size >= sizeof(legacy_magic) &&
	    memcmp(lz4->head, legacy_magic, sizeof(legacy_magic)) == 0)
		what = "the data is in the legacy lz4 format";
	else if (lz4->head_size == sizeof(lz4->head) &&
		 memcmp(lz4->head, frame_magic, sizeof(frame_magic)) == 0 &&
		 (lz4->head[4] & LZ4_FLAG_DICT_ID) != 0)
		what = "the data needs a dictionary";
	if (what == NULL)
		return true;
	(void)transform_error(&lz4->transform, EINVAL,
			      "%s, which is not supported", what);
	return false;
}

static bool lz4_begin_frame(struct lz4_decoder *lz4)
{
	if (lz4->ctx == NULL &&
	    LZ4F_isError(
		    LZ4F_createDecompressionContext(&lz4->ctx, LZ4F_VERSION))) {
		lz4->ctx = NULL;
		(void)transform_error(&lz4->transform, ENOMEM, "out of memory");
		return false;
	}
	lz4->in_frame = true;
	lz4->hint = LZ4_HEADER_SIZE + LZ4_BLOCK_HEADER_SIZE;
	return true;
}

/* One call of liblz4. When it fails it does not tell what it put out before that:
   so it never gets what was right (a block) and what may be wrong (the next one's
   header, the frame's end) at once. Its hint is the sum of the two. */
static size_t lz4_decode_piece(struct lz4_decoder *lz4, struct transform_io *io,
			       bool *moved_r)
{
	size_t in_size = (size_t)(io->in_end - io->in);
	size_t out_size = (size_t)(io->out_end - io->out), limit = lz4->hint;
	size_t ret;

	if (limit > LZ4_BLOCK_HEADER_SIZE)
		limit -= LZ4_BLOCK_HEADER_SIZE;
	in_size = I_MIN(in_size, limit);
	ret = LZ4F_decompress(lz4->ctx, io->out, &out_size, io->in, &in_size,
			      NULL);
	*moved_r = false;
	if (LZ4F_isError(ret))
		return ret;
	io->in += in_size;
	io->out += out_size;
	*moved_r = in_size > 0 || out_size > 0;
	lz4->hint = ret;
	return ret;
}

static enum transform_status lz4_decode(struct transform *t,
					struct transform_io *io,
					enum transform_op op ATTR_UNUSED)
{
	struct lz4_decoder *lz4 = lz4_decoder(t);
	bool moved;
	size_t ret;

	if ((!lz4->in_frame && !lz4_begin_frame(lz4)) ||
	    !lz4_check_head(lz4, io))
		return TRANSFORM_ERROR;
	do {
		ret = lz4_decode_piece(lz4, io, &moved);
		if (LZ4F_isError(ret))
			return lz4_failed(t, "the data is damaged", ret);
		if (ret == 0) {
			lz4->in_frame = false;
			return TRANSFORM_END;
		}
		if (io->out == io->out_end)
			return TRANSFORM_NEED_OUT;
	} while (io->in < io->in_end && moved);
	if (io->in < io->in_end)
		return transform_error(t, EINVAL, "the data is damaged");
	return TRANSFORM_NEED_IN;
}

static bool lz4_may_begin(const unsigned char *data, size_t size)
{
	size = I_MIN(size, sizeof(frame_magic));
	if (memcmp(data, frame_magic, size) == 0)
		return true;
	return (data[0] & 0xf0) == skipped_magic[0] &&
		memcmp(data + 1, skipped_magic + 1, size - 1) == 0;
}

static void lz4_decoder_reset(struct transform *t)
{
	struct lz4_decoder *lz4 = lz4_decoder(t);

	/* liblz4's reset keeps how much content a frame that was not read to
	   its end should still have, and then misses it in the next one */
	if (lz4->in_frame) {
		(void)LZ4F_freeDecompressionContext(lz4->ctx);
		lz4->ctx = NULL;
	} else if (lz4->ctx != NULL) {
		LZ4F_resetDecompressionContext(lz4->ctx);
	}
	lz4->in_frame = false;
	lz4->head_size = 0;
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
	return &lz4->transform;
}
