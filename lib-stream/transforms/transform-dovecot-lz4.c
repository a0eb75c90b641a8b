/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Dovecot's container for LZ4 blocks, by liblz4: a magic, the size of the largest
   plain chunk, and then each chunk's encoded size and block. (Sizes are 32 bits, big
   endian.) It has no checksum, so that most damage goes unseen, and no end, so that
   a file that is cut between two chunks is a whole, shorter one. */

#include "config.h"
#include "block-cache.h"
#include "macros.h"
#include "mem.h"
#include "panic.h"
#include "transforms.h"

#include <errno.h>
#include <lz4.h>
#include <string.h>

static const unsigned char magic[15] = { 'D', 'o',  'v',  'e',  'c',
					 'o', 't',  '-',  'L',  'Z',
					 '4', '\r', 0x2a, 0x9b, 0xc5 };
#define SIZE_BYTES 4
#define HEADER_SIZE (sizeof(magic) + SIZE_BYTES)

/* What is written, and all that Dovecot reads; what is read. */
#define CHUNK_WRITTEN ((size_t)64 * 1024)
#define CHUNK_MAX ((size_t)1024 * 1024)
/* Room for a chunk that does not compress, and its size. */
#define PACKED_SIZE (SIZE_BYTES + LZ4_COMPRESSBOUND(CHUNK_WRITTEN))

static void put_size(unsigned char *dest, size_t size)
{
	dest[0] = (unsigned char)(size >> 24);
	dest[1] = (unsigned char)(size >> 16);
	dest[2] = (unsigned char)(size >> 8);
	dest[3] = (unsigned char)size;
}

static size_t get_size(const unsigned char *src)
{
	return (size_t)src[0] << 24 | (size_t)src[1] << 16 |
		(size_t)src[2] << 8 | src[3];
}

static size_t block_bound(size_t chunk_size)
{
	return (size_t)LZ4_compressBound((int)chunk_size);
}

/* Bytes that are gathered, or wait to go out. */
struct piece {
	unsigned char *data;
	size_t size;       /* of the memory */
	size_t start, end; /* what is in it */
};

static bool piece_get(struct transform *t, struct piece *piece, size_t size)
{
	if (piece->data == NULL) {
		piece->data = block_get(size);
		piece->size = size;
	}
	if (piece->data == NULL)
		(void)transform_error(t, ENOMEM, "out of memory");
	return piece->data != NULL;
}

static void piece_put(struct piece *piece)
{
	block_put(&piece->data, piece->size, 0);
	piece->start = piece->end = 0;
}

/* Takes input until `wanted` bytes are there: whether they are. */
static bool piece_fill(struct piece *piece, struct transform_io *io,
		       size_t wanted)
{
	size_t size = I_MIN(wanted - piece->end, (size_t)(io->in_end - io->in));

	if (size > 0)
		memcpy(piece->data + piece->end, io->in, size);
	io->in += size;
	piece->end += size;
	return piece->end == wanted;
}

/* Puts out what waits: whether all of it is out. */
static bool piece_drain(struct piece *piece, struct transform_io *io)
{
	size_t size = I_MIN(piece->end - piece->start,
			    (size_t)(io->out_end - io->out));

	if (size > 0)
		memcpy(io->out, piece->data + piece->start, size);
	io->out += size;
	piece->start += size;
	if (piece->start < piece->end)
		return false;
	piece->start = piece->end = 0;
	return true;
}

/*
 * Encoding
 */

struct dovecot_lz4_encoder {
	struct transform transform;
	struct piece state;  /* liblz4's, 16 KiB; cheap to have anew */
	struct piece plain;  /* a chunk that is not full yet */
	struct piece packed; /* what found no room */
	bool begun;          /* the header is written */
};

static struct dovecot_lz4_encoder *encoder(struct transform *t)
{
	return container_of(t, struct dovecot_lz4_encoder, transform);
}

static bool put_header(struct dovecot_lz4_encoder *lz4)
{
	struct piece *packed = &lz4->packed;

	if (!piece_get(&lz4->transform, packed, PACKED_SIZE))
		return false;
	memcpy(packed->data, magic, sizeof(magic));
	put_size(packed->data + sizeof(magic), CHUNK_WRITTEN);
	packed->end = HEADER_SIZE;
	lz4->begun = true;
	return true;
}

/* A chunk, never an empty one, to where there is room. */
static bool put_chunk(struct dovecot_lz4_encoder *lz4, struct transform_io *io,
		      const unsigned char *chunk, size_t chunk_size)
{
	bool direct = (size_t)(io->out_end - io->out) >= PACKED_SIZE;
	unsigned char *dest;
	int size;

	if (!piece_get(&lz4->transform, &lz4->state,
		       (size_t)LZ4_sizeofState()) ||
	    (!direct && !piece_get(&lz4->transform, &lz4->packed, PACKED_SIZE)))
		return false;
	dest = direct ? io->out : lz4->packed.data;
	size = LZ4_compress_fast_extState(lz4->state.data, (const char *)chunk,
					  (char *)dest + SIZE_BYTES,
					  (int)chunk_size,
					  (int)(PACKED_SIZE - SIZE_BYTES), 1);
	i_assert(size > 0);
	put_size(dest, (size_t)size);
	if (direct)
		io->out += SIZE_BYTES + size;
	else
		lz4->packed.end = SIZE_BYTES + (size_t)size;
	return true;
}

/* Takes input: a chunk goes out as soon as it is full. */
static bool take_input(struct dovecot_lz4_encoder *lz4, struct transform_io *io)
{
	const unsigned char *in = io->in;

	/* a whole one in the window needs no copy */
	if (lz4->plain.end == 0 &&
	    (size_t)(io->in_end - io->in) >= CHUNK_WRITTEN) {
		io->in += CHUNK_WRITTEN;
		return put_chunk(lz4, io, in, CHUNK_WRITTEN);
	}
	if (!piece_get(&lz4->transform, &lz4->plain, CHUNK_WRITTEN))
		return false;
	if (!piece_fill(&lz4->plain, io, CHUNK_WRITTEN))
		return true;
	lz4->plain.end = 0;
	return put_chunk(lz4, io, lz4->plain.data, CHUNK_WRITTEN);
}

static enum transform_status dovecot_lz4_encode(struct transform *t,
						struct transform_io *io,
						enum transform_op op)
{
	struct dovecot_lz4_encoder *lz4 = encoder(t);
	bool ok = true;
	size_t size;

	while (ok) {
		if (!piece_drain(&lz4->packed, io))
			return TRANSFORM_NEED_OUT;
		size = lz4->plain.end;
		if (io->in == io->in_end && op == TRANSFORM_RUN)
			return TRANSFORM_NEED_IN;
		if (!lz4->begun) {
			ok = put_header(lz4);
		} else if (io->in < io->in_end) {
			ok = take_input(lz4, io);
		} else if (size > 0) {
			lz4->plain.end = 0;
			ok = put_chunk(lz4, io, lz4->plain.data, size);
		} else {
			/* what comes next may be a long time away */
			piece_put(&lz4->plain);
			piece_put(&lz4->packed);
			return TRANSFORM_DONE;
		}
	}
	return TRANSFORM_ERROR;
}

static void dovecot_lz4_encoder_reset(struct transform *t)
{
	piece_put(&encoder(t)->state);
	piece_put(&encoder(t)->plain);
	piece_put(&encoder(t)->packed);
	encoder(t)->begun = false;
}

static void dovecot_lz4_encoder_free(struct transform *t)
{
	dovecot_lz4_encoder_reset(t);
	i_free(encoder(t));
}

static const struct transform_class dovecot_lz4_encoder_class = {
	.name = "dovecot_lz4",
	/* without FINISH the last chunk, or the header, is missing */
	.flags = TRANSFORM_TRAILER | TRANSFORM_CAN_SYNC,
	.min_out = 1,
	.good_in = CHUNK_WRITTEN,
	.max_state = 192 * 1024,
	.process = dovecot_lz4_encode,
	.reset = dovecot_lz4_encoder_reset,
	.free = dovecot_lz4_encoder_free,
};

struct transform *transform_create_dovecot_lz4_encoder(void)
{
	struct dovecot_lz4_encoder *lz4 = i_new(struct dovecot_lz4_encoder, 1);

	lz4->transform.class_ = &dovecot_lz4_encoder_class;
	return &lz4->transform;
}

/*
 * Decoding
 */

struct dovecot_lz4_decoder {
	struct transform transform;
	unsigned char head_data[HEADER_SIZE];
	struct piece head;  /* the file's, then each chunk's, in head_data */
	size_t chunk_max;   /* as the header says; 0: it was not read yet */
	size_t block_size;  /* of the chunk that is being read; 0: none */
	struct piece block; /* of it, as far as it is there */
	struct piece plain; /* what found no room */
};

static struct dovecot_lz4_decoder *decoder(struct transform *t)
{
	return container_of(t, struct dovecot_lz4_decoder, transform);
}

/* 1: it was read; 0: more input is needed; -1: an error was set. The next ones, too. */
static int read_header(struct dovecot_lz4_decoder *lz4, struct transform_io *io)
{
	bool all = piece_fill(&lz4->head, io, HEADER_SIZE);
	size_t size = get_size(lz4->head_data + sizeof(magic));

	if (memcmp(lz4->head_data, magic,
		   I_MIN(lz4->head.end, sizeof(magic))) != 0)
		(void)transform_error(&lz4->transform, EINVAL,
				      "the data is not in Dovecot's lz4 "
				      "format");
	else if (!all)
		return 0;
	else if (size == 0 || size > CHUNK_MAX)
		(void)transform_error(&lz4->transform, EINVAL,
				      "its chunks of up to %zu bytes are "
				      "refused: 1 to %zu may be",
				      size, CHUNK_MAX);
	else
		lz4->chunk_max = size;
	lz4->head.end = 0;
	return lz4->chunk_max > 0 ? 1 : -1;
}

static int read_chunk_size(struct dovecot_lz4_decoder *lz4,
			   struct transform_io *io)
{
	size_t size;

	if (!piece_fill(&lz4->head, io, SIZE_BYTES))
		return 0;
	lz4->head.end = 0;
	size = get_size(lz4->head_data);
	if (size == 0 || size > block_bound(lz4->chunk_max)) {
		(void)transform_error(&lz4->transform, EINVAL,
				      "the data is damaged: a chunk of %zu "
				      "encoded bytes",
				      size);
		return -1;
	}
	lz4->block_size = size;
	return 1;
}

/* Decodes a whole block to where there is room. */
static bool decode_block(struct dovecot_lz4_decoder *lz4,
			 struct transform_io *io, const unsigned char *block)
{
	bool direct = (size_t)(io->out_end - io->out) >= lz4->chunk_max;
	int size;

	if (!direct && !piece_get(&lz4->transform, &lz4->plain, lz4->chunk_max))
		return false;
	size = LZ4_decompress_safe((const char *)block,
				   (char *)(direct ? io->out : lz4->plain.data),
				   (int)lz4->block_size, (int)lz4->chunk_max);
	lz4->block_size = 0;
	if (size <= 0) {
		(void)transform_error(&lz4->transform, EINVAL,
				      "the data is damaged");
		return false;
	}
	if (direct)
		io->out += size;
	else
		lz4->plain.end = (size_t)size;
	return true;
}

static int read_block(struct dovecot_lz4_decoder *lz4, struct transform_io *io)
{
	const unsigned char *in = io->in;

	if (lz4->block.end == 0 &&
	    (size_t)(io->in_end - io->in) >= lz4->block_size) {
		io->in += lz4->block_size;
		return decode_block(lz4, io, in) ? 1 : -1;
	}
	if (!piece_get(&lz4->transform, &lz4->block,
		       block_bound(lz4->chunk_max)))
		return -1;
	if (!piece_fill(&lz4->block, io, lz4->block_size))
		return 0;
	lz4->block.end = 0;
	return decode_block(lz4, io, lz4->block.data) ? 1 : -1;
}

static enum transform_status dovecot_lz4_decode(struct transform *t,
						struct transform_io *io,
						enum transform_op op)
{
	struct dovecot_lz4_decoder *lz4 = decoder(t);
	int ret = 1;

	while (ret > 0) {
		if (!piece_drain(&lz4->plain, io))
			return TRANSFORM_NEED_OUT;
		if (lz4->chunk_max == 0)
			ret = read_header(lz4, io);
		else if (lz4->block_size == 0)
			ret = read_chunk_size(lz4, io);
		else
			ret = read_block(lz4, io);
	}
	if (ret < 0)
		return TRANSFORM_ERROR;
	/* the only end there is: that of the input, between two chunks */
	return op == TRANSFORM_FINISH && lz4->chunk_max > 0 &&
			lz4->block_size == 0 && lz4->head.end == 0 ?
		TRANSFORM_END :
		TRANSFORM_NEED_IN;
}

static void dovecot_lz4_decoder_reset(struct transform *t)
{
	struct dovecot_lz4_decoder *lz4 = decoder(t);

	piece_put(&lz4->block);
	piece_put(&lz4->plain);
	lz4->head.end = lz4->chunk_max = lz4->block_size = 0;
}

static void dovecot_lz4_decoder_free(struct transform *t)
{
	dovecot_lz4_decoder_reset(t);
	i_free(decoder(t));
}

static const struct transform_class dovecot_lz4_decoder_class = {
	.name = "dovecot_lz4",
	.flags = TRANSFORM_DECODER | TRANSFORM_UNFRAMED,
	.min_out = 1,
	.good_out = CHUNK_WRITTEN,
	.max_state = 2 * CHUNK_MAX + 8192,
	.process = dovecot_lz4_decode,
	.reset = dovecot_lz4_decoder_reset,
	.free = dovecot_lz4_decoder_free,
};

struct transform *transform_create_dovecot_lz4_decoder(void)
{
	struct dovecot_lz4_decoder *lz4 = i_new(struct dovecot_lz4_decoder, 1);

	lz4->transform.class_ = &dovecot_lz4_decoder_class;
	lz4->head.data = lz4->head_data;
	return &lz4->transform;
}
