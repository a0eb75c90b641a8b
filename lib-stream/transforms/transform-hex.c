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
	int high; /* a decoder's first digit of a pair, -1: none */
};

static struct hex_transform *hex_transform(struct transform *t)
{
	return container_of(t, struct hex_transform, transform);
}

static enum transform_status hex_encode(struct transform *t ATTR_UNUSED,
					struct transform_io *io,
					enum transform_op op)
{
	for (; io->in < io->in_end; io->in++) {
		if (io->out_end - io->out < 2)
			return TRANSFORM_NEED_OUT;
		hex_escape(*io->in, io->out);
		io->out += 2;
	}
	return op == TRANSFORM_RUN ? TRANSFORM_NEED_IN : TRANSFORM_DONE;
}

static int hex_value(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static enum transform_status
hex_decode(struct transform *t, struct transform_io *io, enum transform_op op)
{
	struct hex_transform *hex = hex_transform(t);
	int value;

	for (; io->in < io->in_end; io->in++) {
		if (io->out == io->out_end)
			return TRANSFORM_NEED_OUT;
		value = hex_value(*io->in);
		if (value < 0)
			return transform_error(t, EINVAL,
					       "byte 0x%02x is not a "
					       "hexadecimal digit",
					       *io->in);
		if (hex->high < 0) {
			hex->high = value;
		} else {
			*io->out++ = (unsigned char)(hex->high << 4 | value);
			hex->high = -1;
		}
	}
	return op == TRANSFORM_FINISH && hex->high < 0 ? TRANSFORM_END :
							 TRANSFORM_NEED_IN;
}

static void hex_reset(struct transform *t)
{
	hex_transform(t)->high = -1;
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
	hex->high = -1;
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
