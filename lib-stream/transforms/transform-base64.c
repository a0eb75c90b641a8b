/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Base64, RFC 4648 4; in lines, RFC 2045 6.8; with the letters of URLs and file
   names, RFC 4648 5. */

#include "config.h"
#include "base64.h"
#include "macros.h"
#include "mem.h"
#include "transforms.h"

#include <errno.h>

/*
 * Encoding
 */

/* Four characters and a line break before them. */
#define BASE64_MIN_OUT 6

struct base64_encoder {
	struct transform transform;
	const char *letters;
	unsigned int chars_per_line; /* 0: one line */
	unsigned int column;
	unsigned char bytes[3]; /* of a group that is not whole yet */
	unsigned int have;
};

static struct base64_encoder *base64_encoder(struct transform *t)
{
	return container_of(t, struct base64_encoder, transform);
}

/* A line that is full ends where another group comes. */
static void end_full_line(struct base64_encoder *b64, struct transform_io *io)
{
	if (b64->chars_per_line == 0 || b64->column < b64->chars_per_line)
		return;
	*io->out++ = '\r';
	*io->out++ = '\n';
	b64->column = 0;
}

/* Bytes that may follow before the line is full. */
static size_t line_room(const struct base64_encoder *b64)
{
	if (b64->chars_per_line == 0)
		return SIZE_MAX;
	return (b64->chars_per_line - b64->column) / 4 * 3;
}

static void put(struct base64_encoder *b64, struct transform_io *io,
		const unsigned char *data, size_t size)
{
	base64_groups_encode(b64->letters, data, size, io->out);
	io->out += BASE64_SIZE(size);
	b64->column += (unsigned int)BASE64_SIZE(size);
}

/* Puts out the group, padded if it is the last and not whole. */
static void put_group(struct base64_encoder *b64, struct transform_io *io)
{
	end_full_line(b64, io);
	put(b64, io, b64->bytes, b64->have);
	b64->have = 0;
}

/* As many whole groups as come in, and go out, on one line. */
static void put_groups(struct base64_encoder *b64, struct transform_io *io)
{
	size_t size;

	end_full_line(b64, io);
	size = I_MIN(line_room(b64), (size_t)(io->in_end - io->in));
	size = I_MIN(size / 3, (size_t)(io->out_end - io->out) / 4) * 3;
	put(b64, io, io->in, size);
	io->in += size;
}

static enum transform_status base64_encode(struct transform *t,
					   struct transform_io *io,
					   enum transform_op op)
{
	struct base64_encoder *b64 = base64_encoder(t);

	while (io->in < io->in_end) {
		if (io->out_end - io->out < BASE64_MIN_OUT)
			return TRANSFORM_NEED_OUT;
		if (b64->have == 0 && io->in_end - io->in >= 3) {
			put_groups(b64, io);
			continue;
		}
		b64->bytes[b64->have++] = *io->in++;
		if (b64->have == 3)
			put_group(b64, io);
	}
	if (op == TRANSFORM_RUN)
		return TRANSFORM_NEED_IN;
	if (b64->have > 0) {
		if (io->out_end - io->out < BASE64_MIN_OUT)
			return TRANSFORM_NEED_OUT;
		put_group(b64, io);
	}
	return TRANSFORM_DONE;
}

static void base64_encoder_reset(struct transform *t)
{
	base64_encoder(t)->have = 0;
	base64_encoder(t)->column = 0;
}

static void base64_encoder_free(struct transform *t)
{
	i_free(base64_encoder(t));
}

/* A flush keeps up to two bytes: they have no encoding yet. */
#define ENCODER_CLASS(class_name)                                        \
	{                                                                \
		.name = class_name,                                      \
		.flags = TRANSFORM_UNFRAMED | TRANSFORM_TRAILER,         \
		.min_out = BASE64_MIN_OUT,                               \
		.max_state = sizeof(struct base64_encoder),              \
		.process = base64_encode, .reset = base64_encoder_reset, \
		.free = base64_encoder_free,                             \
	}

static const struct transform_class base64_encoder_class =
	ENCODER_CLASS("base64");
static const struct transform_class base64url_encoder_class =
	ENCODER_CLASS("base64url");

static struct transform *encoder_create(const struct transform_class *class_,
					const char *letters,
					unsigned int chars_per_line)
{
	struct base64_encoder *b64;

	if (chars_per_line % 4 != 0)
		return transform_create_error(class_->name, class_->flags,
					      EINVAL,
					      "%u characters a line is not a "
					      "multiple of 4",
					      chars_per_line);
	b64 = i_new(struct base64_encoder, 1);
	b64->transform.class_ = class_;
	b64->letters = letters;
	b64->chars_per_line = chars_per_line;
	return &b64->transform;
}

struct transform *transform_create_base64_encoder(unsigned int chars_per_line)
{
	return encoder_create(&base64_encoder_class, base64_letters,
			      chars_per_line);
}

struct transform *
transform_create_base64url_encoder(unsigned int chars_per_line)
{
	return encoder_create(&base64url_encoder_class, base64url_letters,
			      chars_per_line);
}

/*
 * Decoding
 */

struct base64_decoder {
	struct transform transform;
	uint32_t bits;
	unsigned int have; /* characters of the group, padding included */
	unsigned int padding;
	bool ended; /* behind a padded group */
	struct base64_values values;
};

static struct base64_decoder *base64_decoder(struct transform *t)
{
	return container_of(t, struct base64_decoder, transform);
}

static enum transform_status decode_group(struct base64_decoder *b64,
					  struct transform_io *io)
{
	unsigned int bytes = 3 - b64->padding, i;
	uint32_t unused = b64->bits & ((1u << (8 * b64->padding)) - 1);

	/* RFC 4648 3.5: the bits that no byte takes are zero */
	if (unused != 0)
		return transform_error(&b64->transform, EINVAL,
				       "%s that is not canonical",
				       b64->transform.class_->name);
	for (i = 0; i < bytes; i++)
		*io->out++ = (unsigned char)(b64->bits >> (16 - 8 * i));
	b64->ended = b64->padding > 0;
	b64->have = 0;
	b64->padding = 0;
	b64->bits = 0;
	return TRANSFORM_NEED_IN;
}

static enum transform_status decode_char(struct base64_decoder *b64,
					 struct transform_io *io,
					 unsigned char c)
{
	unsigned int value = b64->values.of[c];

	if (c == '\r' || c == '\n')
		return TRANSFORM_NEED_IN;
	if (b64->ended)
		return transform_error(&b64->transform, EINVAL,
				       "data after the end");
	if (c == '=' && b64->have >= 2) {
		b64->padding++;
		value = 0;
	} else if (value == BASE64_NO_LETTER || b64->padding > 0) {
		return transform_error(&b64->transform, EINVAL,
				       "byte 0x%02x has no place in %s", c,
				       b64->transform.class_->name);
	}
	b64->bits = b64->bits << 6 | value;
	return ++b64->have < 4 ? TRANSFORM_NEED_IN : decode_group(b64, io);
}

/* The groups up to whatever is no letter, a line end most of the time. */
static void decode_groups(struct base64_decoder *b64, struct transform_io *io)
{
	size_t groups = I_MIN((size_t)(io->in_end - io->in) / 4,
			      (size_t)(io->out_end - io->out) / 3);

	if (groups == 0)
		return;
	groups = base64_groups_decode(&b64->values, io->in, groups, io->out);
	io->in += 4 * groups;
	io->out += 3 * groups;
}

static enum transform_status base64_decode(struct transform *t,
					   struct transform_io *io,
					   enum transform_op op)
{
	struct base64_decoder *b64 = base64_decoder(t);

	for (;;) {
		if (b64->have == 0 && !b64->ended)
			decode_groups(b64, io);
		if (io->in == io->in_end)
			break;
		if (io->out_end - io->out < 3)
			return TRANSFORM_NEED_OUT;
		if (decode_char(b64, io, *io->in) == TRANSFORM_ERROR)
			return TRANSFORM_ERROR;
		io->in++;
	}
	return op == TRANSFORM_FINISH && b64->have == 0 ? TRANSFORM_END :
							  TRANSFORM_NEED_IN;
}

static void base64_decoder_reset(struct transform *t)
{
	struct base64_decoder *b64 = base64_decoder(t);

	b64->bits = 0;
	b64->have = b64->padding = 0;
	b64->ended = false;
}

static void base64_decoder_free(struct transform *t)
{
	i_free(base64_decoder(t));
}

#define DECODER_CLASS(class_name)                                              \
	{                                                                      \
		.name = class_name,                                            \
		.flags = TRANSFORM_DECODER | TRANSFORM_UNFRAMED, .min_out = 3, \
		.max_state = sizeof(struct base64_decoder),                    \
		.process = base64_decode, .reset = base64_decoder_reset,       \
		.free = base64_decoder_free,                                   \
	}

static const struct transform_class base64_decoder_class =
	DECODER_CLASS("base64");
static const struct transform_class base64url_decoder_class =
	DECODER_CLASS("base64url");

static struct transform *decoder_create(const struct transform_class *class_,
					const char *letters)
{
	struct base64_decoder *b64 = i_new(struct base64_decoder, 1);

	b64->transform.class_ = class_;
	base64_values_init(&b64->values, letters);
	return &b64->transform;
}

struct transform *transform_create_base64_decoder(void)
{
	return decoder_create(&base64_decoder_class, base64_letters);
}

struct transform *transform_create_base64url_decoder(void)
{
	return decoder_create(&base64url_decoder_class, base64url_letters);
}
