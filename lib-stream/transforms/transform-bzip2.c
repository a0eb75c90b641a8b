/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* bzip2, by libbz2. */

#include "config.h"
#include "macros.h"
#include "mem.h"
#include "transform-cache.h"
#include "transforms.h"

#include <errno.h>
#include <string.h>

/* A flush has nothing to release: what comes of a block begins and ends within
   bytes, so that the last bits of one only go with the next. */
#define BZIP2_ENCODER_FLAGS TRANSFORM_TRAILER
#define BZIP2_DECODER_FLAGS (TRANSFORM_DECODER | TRANSFORM_MEMBERS)

#ifdef HAVE_BZIP2

#include <bzlib.h>

#define BZIP2_MAX_LEVEL 9
/* libbz2 counts a window in 32 bits. */
#define BZIP2_MAX_WINDOW ((size_t)1 << 30)
/* What libbz2 allocates at a time: four of an encoder, two or three of a decoder. */
#define BZIP2_BLOCKS 4

/* libbz2 cannot reset a context, only end one and begin another. Its memory, some
   megabytes, is kept from one to the next. */
struct bzip2_block {
	void *data;
	size_t size;
	bool used;
};

struct bzip2_transform {
	struct transform transform;
	bz_stream stream;
	struct bzip2_block blocks[BZIP2_BLOCKS];
	int level; /* of an encoder */
	bool begun;
};

static struct bzip2_transform *bzip2_transform(struct transform *t)
{
	return container_of(t, struct bzip2_transform, transform);
}

/*
 * Memory
 */

static void *bzip2_alloc(void *context, int items, int item_size)
{
	struct bzip2_transform *bz = context;
	size_t size = (size_t)items * (size_t)item_size;
	struct bzip2_block *block, *unused = NULL;

	for (block = bz->blocks; block < bz->blocks + BZIP2_BLOCKS; block++) {
		if (block->used)
			continue;
		if (block->size == size) {
			block->used = true;
			return block->data;
		}
		if (unused == NULL || block->data == NULL)
			unused = block;
	}
	if (unused == NULL)
		return NULL;
	i_free(unused->data);
	unused->data = try_malloc(size);
	unused->size = unused->data != NULL ? size : 0;
	unused->used = unused->data != NULL;
	return unused->data;
}

static void bzip2_unuse(void *context, void *data)
{
	struct bzip2_transform *bz = context;
	struct bzip2_block *block;

	for (block = bz->blocks; block < bz->blocks + BZIP2_BLOCKS; block++) {
		if (block->data == data)
			block->used = false;
	}
}

static struct transform *bzip2_create(const struct transform_class *class_,
				      int level)
{
	struct transform *t = transform_cache_get(class_, level);
	struct bzip2_transform *bz;

	if (t != NULL)
		return t;
	bz = i_new(struct bzip2_transform, 1);
	bz->transform.class_ = class_;
	bz->stream.bzalloc = bzip2_alloc;
	bz->stream.bzfree = bzip2_unuse;
	bz->stream.opaque = bz;
	bz->level = level;
	return &bz->transform;
}

static void bzip2_reset(struct transform *t)
{
	struct bzip2_transform *bz = bzip2_transform(t);

	if (bz->begun && (t->class_->flags & TRANSFORM_DECODER) != 0)
		(void)BZ2_bzDecompressEnd(&bz->stream);
	else if (bz->begun)
		(void)BZ2_bzCompressEnd(&bz->stream);
	bz->begun = false;
}

static void bzip2_real_free(struct transform *t)
{
	struct bzip2_transform *bz = bzip2_transform(t);
	unsigned int i;

	bzip2_reset(t);
	for (i = 0; i < BZIP2_BLOCKS; i++)
		i_free(bz->blocks[i].data);
	i_free(bz);
}

static void bzip2_free(struct transform *t)
{
	if (!transform_cache_put(t, bzip2_transform(t)->level, bzip2_real_free))
		bzip2_real_free(t);
}

/*
 * Windows
 */

static void windows_to_bzip2(const struct transform_io *io, bz_stream *stream)
{
	size_t in_size = (size_t)(io->in_end - io->in);
	size_t out_size = (size_t)(io->out_end - io->out);

	/* it only reads this, but does not say so */
	stream->next_in = (char *)(uintptr_t)io->in;
	stream->avail_in = (unsigned int)I_MIN(in_size, BZIP2_MAX_WINDOW);
	stream->next_out = (char *)io->out;
	stream->avail_out = (unsigned int)I_MIN(out_size, BZIP2_MAX_WINDOW);
}

static void windows_from_bzip2(struct transform_io *io, bz_stream *stream)
{
	io->in = (const unsigned char *)stream->next_in;
	io->out = (unsigned char *)stream->next_out;
	stream->next_in = stream->next_out = NULL;
}

/*
 * Encoding
 */

static enum transform_status
bzip2_encode(struct transform *t, struct transform_io *io, enum transform_op op)
{
	struct bzip2_transform *bz = bzip2_transform(t);
	bool all_in, moved;
	int ret;

	if (!bz->begun &&
	    BZ2_bzCompressInit(&bz->stream, bz->level, 0, 0) != BZ_OK)
		return transform_error(t, ENOMEM, "out of memory");
	bz->begun = true;
	do {
		/* once it finishes, it takes no more input */
		all_in = io->in == io->in_end;
		windows_to_bzip2(io, &bz->stream);
		ret = BZ2_bzCompress(
			&bz->stream,
			all_in && op == TRANSFORM_FINISH ? BZ_FINISH : BZ_RUN);
		moved = bz->stream.next_in != (const char *)io->in ||
			bz->stream.next_out != (char *)io->out;
		windows_from_bzip2(io, &bz->stream);
		if (ret == BZ_STREAM_END)
			return TRANSFORM_DONE;
		/* so it calls having nothing to do */
		if (ret == BZ_PARAM_ERROR && all_in && !moved)
			ret = BZ_RUN_OK;
		if (ret < 0 || (!moved && !all_in))
			return transform_error(t, EIO, "bzip2 failed (%d)",
					       ret);
		if (all_in && op != TRANSFORM_FINISH && io->out < io->out_end)
			return op == TRANSFORM_RUN ? TRANSFORM_NEED_IN :
						     TRANSFORM_DONE;
	} while (io->out < io->out_end);
	return TRANSFORM_NEED_OUT;
}

static const struct transform_class bzip2_encoder_class = {
	.name = "bzip2",
	.flags = BZIP2_ENCODER_FLAGS,
	.min_out = 1,
	.max_state = 8 * 1024 * 1024,
	.process = bzip2_encode,
	.reset = bzip2_reset,
	.free = bzip2_free,
};

struct transform *transform_create_bzip2_encoder(int level)
{
	const struct transform_class *class_ = &bzip2_encoder_class;

	if (level < 1 || level > BZIP2_MAX_LEVEL)
		return transform_create_error(class_->name, class_->flags,
					      EINVAL,
					      "level %d is not within 1 to %d",
					      level, BZIP2_MAX_LEVEL);
	return bzip2_create(class_, level);
}

/*
 * Decoding
 */

static enum transform_status bzip2_decode_failed(struct transform *t, int code)
{
	switch (code) {
	case BZ_MEM_ERROR:
		return transform_error(t, ENOMEM, "out of memory");
	case BZ_DATA_ERROR_MAGIC:
		return transform_error(t, EINVAL,
				       "the data is not in the bzip2 format");
	case BZ_DATA_ERROR:
		return transform_error(t, EINVAL, "the data is damaged");
	default:
		return transform_error(t, EIO, "bzip2 failed (%d)", code);
	}
}

static enum transform_status bzip2_decode(struct transform *t,
					  struct transform_io *io,
					  enum transform_op op ATTR_UNUSED)
{
	struct bzip2_transform *bz = bzip2_transform(t);
	int ret;

	if (!bz->begun && BZ2_bzDecompressInit(&bz->stream, 0, 0) != BZ_OK)
		return transform_error(t, ENOMEM, "out of memory");
	bz->begun = true;
	do {
		windows_to_bzip2(io, &bz->stream);
		ret = BZ2_bzDecompress(&bz->stream);
		windows_from_bzip2(io, &bz->stream);
		if (ret == BZ_STREAM_END)
			return TRANSFORM_END;
		if (ret != BZ_OK)
			return bzip2_decode_failed(t, ret);
		if (io->out == io->out_end)
			return TRANSFORM_NEED_OUT;
	} while (io->in < io->in_end);
	return TRANSFORM_NEED_IN;
}

static bool bzip2_may_begin(const unsigned char *data, size_t size)
{
	return memcmp(data, "BZh", I_MIN(size, (size_t)3)) == 0 &&
		(size < 4 || (data[3] >= '1' && data[3] <= '9'));
}

static const struct transform_class bzip2_decoder_class = {
	.name = "bzip2",
	.flags = BZIP2_DECODER_FLAGS,
	.min_out = 1,
	.max_state = 4 * 1024 * 1024,
	.process = bzip2_decode,
	.reset = bzip2_reset,
	.free = bzip2_free,
	.may_begin = bzip2_may_begin,
};

struct transform *transform_create_bzip2_decoder(void)
{
	return bzip2_create(&bzip2_decoder_class, 0);
}

#else

static struct transform *not_built(unsigned int flags)
{
	return transform_create_error("bzip2", flags, ENOTSUP,
				      "this library was built without bzip2");
}

struct transform *transform_create_bzip2_encoder(int level ATTR_UNUSED)
{
	return not_built(BZIP2_ENCODER_FLAGS);
}

struct transform *transform_create_bzip2_decoder(void)
{
	return not_built(BZIP2_DECODER_FLAGS);
}

#endif
