/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Zstandard (RFC 8878), by libzstd. */

#include "config.h"
#include "macros.h"
#include "mem.h"
#include "process-mark.h"
#include "transform-cache.h"
#include "transform-step.h"
#include "transforms.h"

#include <errno.h>
#include <string.h>

/* Where the size is known, small tables do. */
#define ZSTD_ENCODER_FLAGS \
	(TRANSFORM_TRAILER | TRANSFORM_CAN_SYNC | TRANSFORM_LIKES_WHOLE)
#define ZSTD_DECODER_FLAGS (TRANSFORM_DECODER | TRANSFORM_MEMBERS)

/* The decoder's memory: 128 MiB, as the zstd command's own limit. */
#define ZSTD_USUAL_WINDOW_LOG 27

/* The largest context that is kept for the next user, in bytes: encoders up to about
   level 12, decoders that met no window of 16 MiB or more. */
#define ZSTD_KEPT_MAX ((size_t)16 * 1024 * 1024)

/* More is a mistake rather than a wish. */
#define ZSTD_THREADS_MAX 64

/* RFC 8878 3.1.1.1: the longest header of a frame, with its magic. */
#define ZSTD_HEAD_MAX 18
/* 3.1.1.2: the header of a block. */
#define ZSTD_BLOCK_HEADER_SIZE 3

#ifdef HAVE_ZSTD

#include <zstd.h>
#include <zstd_errors.h>

struct zstd_transform {
	struct transform transform;
	ZSTD_CCtx *cctx;
	ZSTD_DCtx *dctx;
	int level; /* of an encoder */
	unsigned int threads;
	uint64_t owner; /* a process_mark(); 0: no threads were started */
	/* of a decoder */
	int window_log;                    /* the largest that is allowed */
	unsigned char head[ZSTD_HEAD_MAX]; /* what the frame begins with */
	size_t head_size;
	uint64_t plain_size; /* what came out of the frame */
	size_t hint;         /* how much input libzstd wants next; 0: unknown */
	bool in_pieces;      /* the frame is not decoded in one go */
	bool filled_out;     /* the window: more may wait in libzstd */
};

static struct zstd_transform *zstd_transform(struct transform *t)
{
	return container_of(t, struct zstd_transform, transform);
}

static void windows_to_zstd(const struct transform_io *io, ZSTD_inBuffer *in,
			    ZSTD_outBuffer *out)
{
	in->src = io->in;
	in->size = (size_t)(io->in_end - io->in);
	in->pos = 0;
	out->dst = io->out;
	out->size = (size_t)(io->out_end - io->out);
	out->pos = 0;
}

/*
 * Encoding
 */

/* Of a process of which this one is a fork: libzstd would wait for them. */
static bool threads_are_parents(const struct zstd_transform *zstd)
{
	return zstd->owner != 0 && zstd->owner != process_mark();
}

static enum transform_status
zstd_encode(struct transform *t, struct transform_io *io, enum transform_op op)
{
	ZSTD_EndDirective end = op == TRANSFORM_FINISH ? ZSTD_e_end :
		op == TRANSFORM_SYNC                   ? ZSTD_e_flush :
							 ZSTD_e_continue;
	ZSTD_inBuffer in;
	ZSTD_outBuffer out;
	size_t ret;

	if (threads_are_parents(zstd_transform(t)))
		return transform_error_forked(t);
	/* libzstd starts them by the first bytes */
	if (zstd_transform(t)->threads > 0)
		zstd_transform(t)->owner = process_mark();
	do {
		if (op == TRANSFORM_RUN && io->in == io->in_end &&
		    io->out < io->out_end)
			return TRANSFORM_NEED_IN;
		windows_to_zstd(io, &in, &out);
		ret = ZSTD_compressStream2(zstd_transform(t)->cctx, &out, &in,
					   end);
		io->in += in.pos;
		io->out += out.pos;
		if (ZSTD_isError(ret))
			return transform_error(
				t,
				ZSTD_getErrorCode(ret) ==
						ZSTD_error_memory_allocation ?
					ENOMEM :
					EIO,
				"zstd failed: %s", ZSTD_getErrorName(ret));
		if (op != TRANSFORM_RUN && ret == 0 && io->in == io->in_end)
			return TRANSFORM_DONE;
	} while (io->out < io->out_end);
	return TRANSFORM_NEED_OUT;
}

static void zstd_encoder_reset(struct transform *t)
{
	if (!threads_are_parents(zstd_transform(t)))
		(void)ZSTD_CCtx_reset(zstd_transform(t)->cctx,
				      ZSTD_reset_session_only);
}

static void zstd_encoder_real_free(struct transform *t)
{
	(void)ZSTD_freeCCtx(zstd_transform(t)->cctx);
	i_free(zstd_transform(t));
}

static void zstd_encoder_free(struct transform *t)
{
	const struct zstd_transform *zstd = zstd_transform(t);

	/* libzstd's locks may be held for ever: its memory is left, too */
	if (threads_are_parents(zstd))
		return;
	/* idle threads are not kept, nor tables that few would miss */
	if (zstd->threads > 0 || ZSTD_sizeof_CCtx(zstd->cctx) > ZSTD_KEPT_MAX ||
	    !transform_cache_put(t, zstd->level, zstd_encoder_real_free))
		zstd_encoder_real_free(t);
}

static const struct transform_class zstd_encoder_class = {
	.name = "zstd",
	.flags = ZSTD_ENCODER_FLAGS,
	.min_out = 1,
	.max_state = 1024 * 1024 * 1024,
	.process = zstd_encode,
	.reset = zstd_encoder_reset,
	.free = zstd_encoder_free,
};

static bool set_parameter(struct zstd_transform *zstd,
			  ZSTD_cParameter parameter, int value)
{
	return !ZSTD_isError(
		ZSTD_CCtx_setParameter(zstd->cctx, parameter, value));
}

/* NULL, or what is in the way of these settings. */
static struct transform *refuse(int level, unsigned int threads)
{
	const struct transform_class *class_ = &zstd_encoder_class;

	if (level < ZSTD_minCLevel() || level > ZSTD_maxCLevel() || level == 0)
		return transform_create_error(
			class_->name, class_->flags, EINVAL,
			"level %d is not within 1 to %d (or -1 to %d)", level,
			ZSTD_maxCLevel(), ZSTD_minCLevel());
	if (threads > ZSTD_THREADS_MAX)
		return transform_create_error(class_->name, class_->flags,
					      EINVAL,
					      "%u threads are more than %d",
					      threads, ZSTD_THREADS_MAX);
	return NULL;
}

struct transform *transform_create_zstd_threads_encoder(int level,
							unsigned int threads)
{
	const struct transform_class *class_ = &zstd_encoder_class;
	struct transform *t = refuse(level, threads);
	struct zstd_transform *zstd;
	bool have_threads = true;

	if (t == NULL && threads == 0)
		t = transform_cache_get(class_, level);
	if (t != NULL)
		return t;
	zstd = i_new(struct zstd_transform, 1);
	zstd->transform.class_ = class_;
	zstd->level = level;
	zstd->threads = threads;
	zstd->cctx = ZSTD_createCCtx();
	if (zstd->cctx != NULL && threads > 0)
		have_threads =
			set_parameter(zstd, ZSTD_c_nbWorkers, (int)threads);
	if (zstd->cctx != NULL && have_threads &&
	    set_parameter(zstd, ZSTD_c_compressionLevel, level) &&
	    set_parameter(zstd, ZSTD_c_checksumFlag, 1))
		return &zstd->transform;
	zstd_encoder_real_free(&zstd->transform);
	return transform_create_error(
		class_->name, class_->flags, have_threads ? ENOMEM : ENOTSUP,
		"%s",
		have_threads ? "out of memory" :
			       "libzstd was built without threads");
}

/*
 * Decoding
 */

static enum transform_status zstd_decode_failed(struct transform *t,
						size_t code)
{
	int window_log = zstd_transform(t)->window_log;

	switch (ZSTD_getErrorCode(code)) {
	case ZSTD_error_memory_allocation:
		return transform_error(t, ENOMEM, "out of memory");
	case ZSTD_error_frameParameter_windowTooLarge:
		return transform_error(t, EINVAL,
				       "the data needs a window of more than "
				       "2^%d bytes, which is refused (the "
				       "option window=31 allows every file)",
				       window_log);
	case ZSTD_error_dictionary_wrong:
		return transform_error(t, EINVAL,
				       "the data needs a dictionary, which is "
				       "not supported");
	default:
		return transform_error(t, EINVAL, "the data is damaged: %s",
				       ZSTD_getErrorName(code));
	}
}

static void keep_head(struct zstd_transform *zstd, const unsigned char *in,
		      size_t size)
{
	size = I_MIN(size, sizeof(zstd->head) - zstd->head_size);
	if (size > 0)
		memcpy(zstd->head + zstd->head_size, in, size);
	zstd->head_size += size;
}

/* libzstd looks whether a frame has the size that its header says, but not where its last
   block is empty and comes by itself. */
static enum transform_status zstd_frame_ended(struct transform *t)
{
	const struct zstd_transform *zstd = zstd_transform(t);
	unsigned long long size =
		ZSTD_getFrameContentSize(zstd->head, zstd->head_size);

	/* it says nothing, or in a way that libzstd alone knows */
	if (size >= ZSTD_CONTENTSIZE_ERROR || size == zstd->plain_size)
		return TRANSFORM_END;
	return transform_error(t, EINVAL,
			       "the data is damaged: a frame has another size "
			       "than its header says");
}

/* Whether a frame begins here, and ends, and has room: libzstd decodes that in one go,
   without a window of its own. */
static bool is_small_frame(const struct zstd_transform *zstd,
			   const ZSTD_inBuffer *in, const ZSTD_outBuffer *out)
{
	return zstd->head_size == 0 && !zstd->in_pieces &&
		ZSTD_getFrameContentSize(in->src, in->size) <= out->size &&
		!ZSTD_isError(ZSTD_findFrameCompressedSize(in->src, in->size));
}

/* What libzstd gets at once of what it decodes block by block. */
static size_t piece_size(const struct zstd_transform *zstd, size_t in_size)
{
	size_t limit = I_MAX(zstd->hint, (size_t)1);

	/* what it has decoded goes out first */
	if (zstd->filled_out)
		return 0;
	/* its hint for a block is with the header of the next one */
	if (limit > ZSTD_BLOCK_HEADER_SIZE)
		limit -= ZSTD_BLOCK_HEADER_SIZE;
	return I_MIN(in_size, limit);
}

/* One call of libzstd, and its return value. When it fails it does not tell what it put
   out before that: so it never gets what was right (a block) and what may be wrong (what is
   behind it) at once, or it gets it again. */
static size_t zstd_decode_piece(struct zstd_transform *zstd,
				struct transform_io *io)
{
	ZSTD_inBuffer in;
	ZSTD_outBuffer out;
	size_t ret;

	windows_to_zstd(io, &in, &out);
	if (!is_small_frame(zstd, &in, &out))
		zstd->in_pieces = true;
	if (zstd->in_pieces)
		in.size = piece_size(zstd, in.size);
	ret = ZSTD_decompressStream(zstd->dctx, &out, &in);
	if (ZSTD_isError(ret) && !zstd->in_pieces) {
		(void)ZSTD_DCtx_reset(zstd->dctx, ZSTD_reset_session_only);
		zstd->in_pieces = true;
		return zstd_decode_piece(zstd, io);
	}
	if (ZSTD_isError(ret))
		return ret;
	keep_head(zstd, io->in, in.pos);
	zstd->plain_size += out.pos;
	io->in += in.pos;
	io->out += out.pos;
	zstd->hint = ret;
	zstd->filled_out = io->out == io->out_end;
	return ret;
}

static enum transform_status zstd_decode(struct transform *t,
					 struct transform_io *io,
					 enum transform_op op ATTR_UNUSED)
{
	struct zstd_transform *zstd = zstd_transform(t);
	size_t ret;

	do {
		ret = zstd_decode_piece(zstd, io);
		if (ZSTD_isError(ret))
			return zstd_decode_failed(t, ret);
		if (ret == 0)
			return zstd_frame_ended(t);
		if (zstd->filled_out)
			return TRANSFORM_NEED_OUT;
	} while (io->in < io->in_end);
	return TRANSFORM_NEED_IN;
}

/* The magic of a frame, or of one to be skipped (its first byte varies). */
static bool zstd_may_begin(const unsigned char *data, size_t size)
{
	static const unsigned char frame[] = { 0x28, 0xb5, 0x2f, 0xfd };
	static const unsigned char skipped[] = { 0x50, 0x2a, 0x4d, 0x18 };

	size = I_MIN(size, sizeof(frame));
	if (memcmp(data, frame, size) == 0)
		return true;
	return (data[0] & 0xf0) == skipped[0] &&
		memcmp(data + 1, skipped + 1, size - 1) == 0;
}

static void zstd_decoder_reset(struct transform *t)
{
	struct zstd_transform *zstd = zstd_transform(t);

	(void)ZSTD_DCtx_reset(zstd->dctx, ZSTD_reset_session_only);
	zstd->head_size = 0;
	zstd->plain_size = 0;
	zstd->hint = 0;
	zstd->in_pieces = zstd->filled_out = false;
}

static void zstd_decoder_real_free(struct transform *t)
{
	(void)ZSTD_freeDCtx(zstd_transform(t)->dctx);
	i_free(zstd_transform(t));
}

static void zstd_decoder_free(struct transform *t)
{
	const struct zstd_transform *zstd = zstd_transform(t);

	/* the window stays with the context, and may be as large as is allowed */
	if (ZSTD_sizeof_DCtx(zstd->dctx) > ZSTD_KEPT_MAX ||
	    !transform_cache_put(t, zstd->window_log, zstd_decoder_real_free))
		zstd_decoder_real_free(t);
}

static const struct transform_class zstd_decoder_class = {
	.name = "zstd",
	.flags = ZSTD_DECODER_FLAGS,
	.min_out = 1,
	.max_state = ((size_t)1 << ZSTD_USUAL_WINDOW_LOG) + 1024 * 1024,
	.process = zstd_decode,
	.reset = zstd_decoder_reset,
	.free = zstd_decoder_free,
	.may_begin = zstd_may_begin,
};

struct transform *transform_create_zstd_window_decoder(int max_window_log)
{
	const struct transform_class *class_ = &zstd_decoder_class;
	ZSTD_bounds bounds = ZSTD_dParam_getBounds(ZSTD_d_windowLogMax);
	struct zstd_transform *zstd;
	struct transform *t;

	if (max_window_log < bounds.lowerBound ||
	    max_window_log > bounds.upperBound)
		return transform_create_error(class_->name, class_->flags,
					      EINVAL,
					      "window %d is not within %d to "
					      "%d",
					      max_window_log, bounds.lowerBound,
					      bounds.upperBound);
	t = transform_cache_get(class_, max_window_log);
	if (t != NULL)
		return t;
	zstd = i_new(struct zstd_transform, 1);
	zstd->transform.class_ = class_;
	zstd->window_log = max_window_log;
	zstd->dctx = ZSTD_createDCtx();
	if (zstd->dctx == NULL ||
	    ZSTD_isError(ZSTD_DCtx_setParameter(zstd->dctx, ZSTD_d_windowLogMax,
						max_window_log))) {
		zstd_decoder_real_free(&zstd->transform);
		return transform_create_error(class_->name, class_->flags,
					      ENOMEM, "out of memory");
	}
	return &zstd->transform;
}

#else

static struct transform *not_built(unsigned int flags)
{
	return transform_create_error("zstd", flags, ENOTSUP,
				      "this library was built without zstd");
}

struct transform *
transform_create_zstd_threads_encoder(int level ATTR_UNUSED,
				      unsigned int threads ATTR_UNUSED)
{
	return not_built(ZSTD_ENCODER_FLAGS);
}

struct transform *
transform_create_zstd_window_decoder(int max_window_log ATTR_UNUSED)
{
	return not_built(ZSTD_DECODER_FLAGS);
}

#endif

struct transform *transform_create_zstd_encoder(int level)
{
	return transform_create_zstd_threads_encoder(level, 0);
}

struct transform *transform_create_zstd_decoder(void)
{
	return transform_create_zstd_window_decoder(ZSTD_USUAL_WINDOW_LOG);
}
