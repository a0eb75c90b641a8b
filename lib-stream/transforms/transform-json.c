/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The inside of a JSON string, RFC 8259 7. */

#include "config.h"
#include "escape-text.h"
#include "macros.h"
#include "mem.h"
#include "plain-run.h"
#include "transforms.h"

#include <errno.h>
#include <string.h>

/* The longest piece put out at once. */
#define JSON_MIN_OUT JSON_ESCAPE_MAX
#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* What stands for itself; of longer characters all bytes do. */
static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c != '"' && c != '\\';
}

static void put_bytes(struct transform_io *io, const void *data, size_t size)
{
	memcpy(io->out, data, size);
	io->out += size;
}

/*
 * UTF-8 (RFC 3629): how a character may go on, byte by byte
 */

struct utf8 {
	unsigned char bytes[4];
	unsigned int have, want;
};

/* How many bytes a character that begins like this has; 0: none does. */
static unsigned int utf8_length(unsigned char c)
{
	if (c < 0x80)
		return 1;
	if (c >= 0xc2 && c <= 0xdf)
		return 2;
	if (c >= 0xe0 && c <= 0xef)
		return 3;
	return c >= 0xf0 && c <= 0xf4 ? 4 : 0;
}

/* Whether c may follow what there is of the character: no overlong forms, no
   surrogates, nothing above U+10FFFF. */
static bool utf8_may_follow(const struct utf8 *u, unsigned char c)
{
	unsigned char min = 0x80, max = 0xbf;

	if (u->have == 1) {
		if (u->bytes[0] == 0xe0)
			min = 0xa0;
		else if (u->bytes[0] == 0xed)
			max = 0x9f;
		else if (u->bytes[0] == 0xf0)
			min = 0x90;
		else if (u->bytes[0] == 0xf4)
			max = 0x8f;
	}
	return c >= min && c <= max;
}

/*
 * Encoding
 */

struct json_encoder {
	struct transform transform;
	struct utf8 utf8; /* a character that is not whole yet */
};

static struct json_encoder *json_encoder(struct transform *t)
{
	return container_of(t, struct json_encoder, transform);
}

static bool is_plain_ascii(unsigned char c)
{
	return is_plain(c) && c < 0x80;
}

/* Takes one byte that is part of no unfinished character. */
static void encode_first(struct json_encoder *json, struct transform_io *io,
			 unsigned char c)
{
	unsigned int length = utf8_length(c);

	if (length == 0) {
		put_bytes(io, REPLACEMENT, 3);
	} else if (length == 1) {
		io->out += json_escape(c, io->out);
	} else {
		json->utf8.bytes[0] = c;
		json->utf8.have = 1;
		json->utf8.want = length;
	}
}

static enum transform_status
json_encode(struct transform *t, struct transform_io *io, enum transform_op op)
{
	struct json_encoder *json = json_encoder(t);
	struct utf8 *u = &json->utf8;

	for (;;) {
		if (u->have == 0)
			copy_run(io, plain_run(io, SIZE_MAX, is_plain_ascii));
		if (io->in == io->in_end)
			break;
		if (io->out_end - io->out < JSON_MIN_OUT)
			return TRANSFORM_NEED_OUT;
		if (u->have == 0) {
			encode_first(json, io, *io->in++);
		} else if (!utf8_may_follow(u, *io->in)) {
			put_bytes(io, REPLACEMENT, 3);
			u->have = 0;
		} else {
			u->bytes[u->have++] = *io->in++;
			if (u->have == u->want) {
				put_bytes(io, u->bytes, u->want);
				u->have = 0;
			}
		}
	}
	if (op != TRANSFORM_FINISH)
		return TRANSFORM_NEED_IN;
	if (u->have > 0) {
		if (io->out_end - io->out < JSON_MIN_OUT)
			return TRANSFORM_NEED_OUT;
		put_bytes(io, REPLACEMENT, 3);
		u->have = 0;
	}
	return TRANSFORM_DONE;
}

static void json_encoder_reset(struct transform *t)
{
	json_encoder(t)->utf8.have = 0;
}

static void json_encoder_free(struct transform *t)
{
	i_free(json_encoder(t));
}

static const struct transform_class json_encoder_class = {
	.name = "json",
	/* the end of the input may cut a character */
	.flags = TRANSFORM_UNFRAMED | TRANSFORM_TRAILER,
	.min_out = JSON_MIN_OUT,
	.max_state = sizeof(struct json_encoder),
	.process = json_encode,
	.reset = json_encoder_reset,
	.free = json_encoder_free,
};

struct transform *transform_create_json_encoder(void)
{
	struct json_encoder *json = i_new(struct json_encoder, 1);

	json->transform.class_ = &json_encoder_class;
	return &json->transform;
}

/*
 * Decoding
 */

enum json_state {
	JSON_TEXT,
	JSON_BACKSLASH,
	JSON_U,              /* within the four digits behind "\u" */
	JSON_WANT_BACKSLASH, /* a first surrogate wants "\u" again */
	JSON_WANT_U
};

struct json_decoder {
	struct transform transform;
	enum json_state state;
	unsigned int digits; /* seen behind "\u" */
	uint32_t code;
	uint32_t surrogate; /* the first of a pair, 0: none */
};

static struct json_decoder *json_decoder(struct transform *t)
{
	return container_of(t, struct json_decoder, transform);
}

static void put_utf8(struct transform_io *io, uint32_t code)
{
	if (code < 0x80) {
		*io->out++ = (unsigned char)code;
	} else if (code < 0x800) {
		*io->out++ = (unsigned char)(0xc0 | code >> 6);
		*io->out++ = (unsigned char)(0x80 | (code & 63));
	} else if (code < 0x10000) {
		*io->out++ = (unsigned char)(0xe0 | code >> 12);
		*io->out++ = (unsigned char)(0x80 | (code >> 6 & 63));
		*io->out++ = (unsigned char)(0x80 | (code & 63));
	} else {
		*io->out++ = (unsigned char)(0xf0 | code >> 18);
		*io->out++ = (unsigned char)(0x80 | (code >> 12 & 63));
		*io->out++ = (unsigned char)(0x80 | (code >> 6 & 63));
		*io->out++ = (unsigned char)(0x80 | (code & 63));
	}
}

static enum transform_status bad_surrogate(struct transform *t)
{
	return transform_error(t, EINVAL, "a surrogate without its pair");
}

/* All four digits are there. */
static enum transform_status decode_code(struct json_decoder *json,
					 struct transform_io *io)
{
	uint32_t code = json->code;
	bool low = code >= 0xdc00 && code <= 0xdfff;

	if (low != (json->surrogate != 0))
		return bad_surrogate(&json->transform);
	if (low) {
		code = 0x10000 + ((json->surrogate - 0xd800) << 10) +
			(code - 0xdc00);
		json->surrogate = 0;
	} else if (code >= 0xd800 && code <= 0xdbff) {
		json->surrogate = code;
		json->state = JSON_WANT_BACKSLASH;
		return TRANSFORM_NEED_IN;
	}
	put_utf8(io, code);
	json->state = JSON_TEXT;
	return TRANSFORM_NEED_IN;
}

static enum transform_status decode_digit(struct json_decoder *json,
					  struct transform_io *io,
					  unsigned char c)
{
	unsigned int value = hex_value(c);

	if (value == 0)
		return transform_error(&json->transform, EINVAL,
				       "\\u without four hexadecimal digits");
	json->code = json->code << 4 | (value & 15);
	return ++json->digits < 4 ? TRANSFORM_NEED_IN : decode_code(json, io);
}

static enum transform_status decode_escape(struct json_decoder *json,
					   struct transform_io *io,
					   unsigned char c)
{
	static const char letters[] = "\"\\/bfnrt";
	static const char plain[] = "\"\\/\b\f\n\r\t";
	const char *pos;

	if (c == 'u') {
		json->state = JSON_U;
		json->digits = 0;
		json->code = 0;
		return TRANSFORM_NEED_IN;
	}
	if (json->state == JSON_WANT_U)
		return bad_surrogate(&json->transform);
	pos = c == '\0' ? NULL : strchr(letters, c);
	if (pos == NULL)
		return transform_error(&json->transform, EINVAL,
				       "unknown escape behind a backslash");
	*io->out++ = (unsigned char)plain[pos - letters];
	json->state = JSON_TEXT;
	return TRANSFORM_NEED_IN;
}

static enum transform_status
decode_byte(struct json_decoder *json, struct transform_io *io, unsigned char c)
{
	switch (json->state) {
	case JSON_TEXT:
		if (c == '\\') {
			json->state = JSON_BACKSLASH;
			return TRANSFORM_NEED_IN;
		}
		if (!is_plain(c))
			return transform_error(&json->transform, EINVAL,
					       "byte 0x%02x must be escaped in "
					       "a JSON string",
					       c);
		*io->out++ = c;
		return TRANSFORM_NEED_IN;
	case JSON_WANT_BACKSLASH:
		if (c != '\\')
			return bad_surrogate(&json->transform);
		json->state = JSON_WANT_U;
		return TRANSFORM_NEED_IN;
	case JSON_U:
		return decode_digit(json, io, c);
	case JSON_BACKSLASH:
	case JSON_WANT_U:
		return decode_escape(json, io, c);
	}
	return TRANSFORM_ERROR;
}

static enum transform_status
json_decode(struct transform *t, struct transform_io *io, enum transform_op op)
{
	struct json_decoder *json = json_decoder(t);
	enum transform_status status;

	for (;;) {
		if (json->state == JSON_TEXT)
			copy_run(io, plain_run(io, SIZE_MAX, is_plain));
		if (io->in == io->in_end)
			break;
		if (io->out_end - io->out < 4)
			return TRANSFORM_NEED_OUT;
		status = decode_byte(json, io, *io->in);
		if (status == TRANSFORM_ERROR)
			return status;
		io->in++;
	}
	return op == TRANSFORM_FINISH && json->state == JSON_TEXT ?
		TRANSFORM_END :
		TRANSFORM_NEED_IN;
}

static void json_decoder_reset(struct transform *t)
{
	json_decoder(t)->state = JSON_TEXT;
	json_decoder(t)->surrogate = 0;
}

static void json_decoder_free(struct transform *t)
{
	i_free(json_decoder(t));
}

static const struct transform_class json_decoder_class = {
	.name = "json",
	.flags = TRANSFORM_DECODER | TRANSFORM_UNFRAMED,
	.min_out = 4,
	.max_state = sizeof(struct json_decoder),
	.process = json_decode,
	.reset = json_decoder_reset,
	.free = json_decoder_free,
};

struct transform *transform_create_json_decoder(void)
{
	struct json_decoder *json = i_new(struct json_decoder, 1);

	json->transform.class_ = &json_decoder_class;
	return &json->transform;
}
