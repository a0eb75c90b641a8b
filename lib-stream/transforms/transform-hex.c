/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Hexadecimal, RFC 4648 8. */

#include "config.h"
#include "escape-text.h"
#include "macros.h"
#include "mem.h"
#include "transforms.h"

#include <errno.h>

struct hex_transform {
	struct transform transform;
	unsigned int high; /* a decoder's first digit of a pair, 0: none */
};

static struct hex_transform *hex_transform(struct transform *t)
{
	return container_of(t, struct hex_transform, transform);
}

static enum transform_status hex_encode(struct transform *t ATTR_UNUSED,
					struct transform_io *io,
					enum transform_op op)
{
	size_t size = I_MIN((size_t)(io->in_end - io->in),
			    (size_t)(io->out_end - io->out) / 2);
	const unsigned char *in = io->in;
	unsigned char *out = io->out;

	for (; size > 0; size--) {
		hex_escape(*in++, out);
		out += 2;
	}
	io->in = in;
	io->out = out;
	if (io->in < io->in_end)
		return TRANSFORM_NEED_OUT;
	return op == TRANSFORM_RUN ? TRANSFORM_NEED_IN : TRANSFORM_DONE;
}

/* The pairs up to whatever is no digit. */
static void decode_pairs(struct transform_io *io)
{
	size_t pairs = I_MIN((size_t)(io->in_end - io->in) / 2,
			     (size_t)(io->out_end - io->out));
	const unsigned char *in = io->in;
	unsigned char *out = io->out;
	unsigned int high, low;

	for (; pairs > 0; pairs--) {
		high = hex_value(in[0]);
		low = hex_value(in[1]);
		if ((high & low) == 0)
			break;
		*out++ = hex_byte(high, low);
		in += 2;
	}
	io->in = in;
	io->out = out;
}

static enum transform_status
hex_decode(struct transform *t, struct transform_io *io, enum transform_op op)
{
	struct hex_transform *hex = hex_transform(t);
	unsigned int value;

	for (;;) {
		if (hex->high == 0)
			decode_pairs(io);
		if (io->in == io->in_end)
			break;
		if (io->out == io->out_end)
			return TRANSFORM_NEED_OUT;
		value = hex_value(*io->in);
		if (value == 0)
			return transform_error(t, EINVAL,
					       "byte 0x%02x is not a "
					       "hexadecimal digit",
					       *io->in);
		io->in++;
		if (hex->high == 0) {
			hex->high = value;
		} else {
			*io->out++ = hex_byte(hex->high, value);
			hex->high = 0;
		}
	}
	return op == TRANSFORM_FINISH && hex->high == 0 ? TRANSFORM_END :
							  TRANSFORM_NEED_IN;
}

static void hex_reset(struct transform *t)
{
	hex_transform(t)->high = 0;
}

static void hex_free(struct transform *t)
{
	i_free(hex_transform(t));
}

static const struct transform_class hex_encoder_class = {
	.name = "hex",
	.flags = TRANSFORM_UNFRAMED,
	.min_out = 2,
	.max_state = sizeof(struct hex_transform),
	.process = hex_encode,
	.reset = hex_reset,
	.free = hex_free,
};

static const struct transform_class hex_decoder_class = {
	.name = "hex",
	.flags = TRANSFORM_DECODER | TRANSFORM_UNFRAMED,
	.min_out = 1,
	.max_state = sizeof(struct hex_transform),
	.process = hex_decode,
	.reset = hex_reset,
	.free = hex_free,
};

static struct transform *create(const struct transform_class *class_)
{
	struct hex_transform *hex = i_new(struct hex_transform, 1);

	hex->transform.class_ = class_;
	hex->high = 0;
	return &hex->transform;
}

struct transform *transform_create_hex_encoder(void)
{
	return create(&hex_encoder_class);
}

struct transform *transform_create_hex_decoder(void)
{
	return create(&hex_decoder_class);
}
