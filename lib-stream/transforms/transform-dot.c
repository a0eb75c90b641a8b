/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The SMTP wire form of a message, RFC 5321 4.5.2: CRLF line ends, a dot at the
   beginning of a line doubled, and a line with one dot at the end. */

#include "config.h"
#include "dot-blocks.h"
#include "macros.h"
#include "mem.h"
#include "transforms.h"
#include "wire-text.h"

#include <string.h>

/*
 * Encoding
 */

struct dot_encoder {
	struct transform transform;
	bool force_extra_crlf;
	unsigned char last; /* the byte before; a LF at the beginning */
};

/* The longest piece that is put out at once: the end, with a line end. */
#define DOT_MIN_OUT sizeof("\r\n.\r\n")

static void put_bytes(struct transform_io *io, const char *str, size_t size)
{
	memcpy(io->out, str, size);
	io->out += size;
}

/* Moves text until there is no more of it, or no room for another piece. */
static void encode_text(struct dot_encoder *dot, struct transform_io *io)
{
	size_t size;

	while (io->in < io->in_end &&
	       (size_t)(io->out_end - io->out) >= DOT_MIN_OUT) {
		if (is_wire_special(dot->last, *io->in))
			io->out = put_wire_special(io->out, dot->last, *io->in);
		*io->out++ = *io->in++;
		dot_encode_blocks(io);
		size = I_MIN((size_t)(io->in_end - io->in),
			     (size_t)(io->out_end - io->out));
		size = copy_wire_text(io->out, io->in, size);
		io->in += size;
		io->out += size;
		dot->last = io->in[-1];
	}
}

static enum transform_status
dot_encode(struct transform *t, struct transform_io *io, enum transform_op op)
{
	struct dot_encoder *dot =
		container_of(t, struct dot_encoder, transform);

	encode_text(dot, io);
	if (io->in < io->in_end)
		return TRANSFORM_NEED_OUT;
	if (op != TRANSFORM_FINISH)
		return TRANSFORM_NEED_IN;
	if ((size_t)(io->out_end - io->out) < DOT_MIN_OUT)
		return TRANSFORM_NEED_OUT;
	if (dot->last != '\n' || dot->force_extra_crlf)
		put_bytes(io, "\r\n", 2);
	put_bytes(io, ".\r\n", 3);
	return TRANSFORM_DONE;
}

static void dot_encoder_reset(struct transform *t)
{
	struct dot_encoder *dot =
		container_of(t, struct dot_encoder, transform);

	dot->last = '\n';
}

static void dot_encoder_free(struct transform *t)
{
	i_free(container_of(t, struct dot_encoder, transform));
}

static const struct transform_class dot_encoder_class = {
	.name = "dot",
	.flags = TRANSFORM_TRAILER | TRANSFORM_KEEP_PARENT,
	.min_out = DOT_MIN_OUT,
	.max_state = sizeof(struct dot_encoder),
	.process = dot_encode,
	.reset = dot_encoder_reset,
	.free = dot_encoder_free,
};

struct transform *transform_create_dot_encoder(bool force_extra_crlf)
{
	struct dot_encoder *dot = i_new(struct dot_encoder, 1);

	dot->transform.class_ = &dot_encoder_class;
	dot->force_extra_crlf = force_extra_crlf;
	dot_encoder_reset(&dot->transform);
	return &dot->transform;
}

/*
 * Decoding
 */

enum dot_state {
	DOT_LINE_START,
	DOT_TEXT,
	DOT_DOT,   /* behind a "." that began a line */
	DOT_DOT_CR /* behind that and a CR */
};

struct dot_decoder {
	struct transform transform;
	unsigned int flags;
	enum dot_state state;
	/* Text that may be part of a line end: a CR, or (with TRIM_TRAIL) the
	   whole line end, until it is known what follows. */
	char held[2];
	unsigned int held_size;
};

static void put_held(struct dot_decoder *dot, struct transform_io *io)
{
	put_bytes(io, dot->held, dot->held_size);
	dot->held_size = 0;
}

static void hold(struct dot_decoder *dot, char c)
{
	dot->held[dot->held_size++] = c;
}

/* Text up to where something may be special: the line end before that, or before the
   end of what is there, is left. */
static void decode_bulk(struct transform_io *io)
{
	size_t size = I_MIN((size_t)(io->in_end - io->in),
			    (size_t)(io->out_end - io->out));

	io->out[0] = io->in[0];
	size = 1 + copy_wire_text(io->out + 1, io->in + 1, size - 1);
	while (size > 0 &&
	       (io->in[size - 1] == '\n' || io->in[size - 1] == '\r'))
		size--;
	io->in += size;
	io->out += size;
}

/* Text up to the next LF, a CR before it held back. */
static void decode_run(struct dot_decoder *dot, struct transform_io *io)
{
	size_t size = I_MIN((size_t)(io->in_end - io->in),
			    (size_t)(io->out_end - io->out));
	const unsigned char *lf = memchr(io->in, '\n', size);
	bool held_cr;

	if (lf != NULL)
		size = (size_t)(lf - io->in);
	held_cr = io->in[size - 1] == '\r';
	memcpy(io->out, io->in, held_cr ? size - 1 : size);
	io->out += held_cr ? size - 1 : size;
	io->in += size;
	if (held_cr)
		hold(dot, '\r');
}

static void decode_lf(struct dot_decoder *dot, struct transform_io *io)
{
	bool loose = (dot->flags & TRANSFORM_DOT_LOOSE_EOT) != 0;

	io->in++;
	if (dot->held_size > 0 || loose)
		dot->state = DOT_LINE_START;
	hold(dot, '\n');
	if (dot->state != DOT_LINE_START ||
	    (dot->flags & TRANSFORM_DOT_TRIM_TRAIL) == 0)
		put_held(dot, io);
}

/* Behind ".": false where the text ends with this byte. */
static bool decode_after_dot(struct dot_decoder *dot, struct transform_io *io)
{
	if (dot->state == DOT_DOT && *io->in == '\r') {
		io->in++;
		dot->state = DOT_DOT_CR;
		return true;
	}
	if (*io->in == '\n' &&
	    (dot->state == DOT_DOT_CR ||
	     (dot->flags & TRANSFORM_DOT_LOOSE_EOT) != 0)) {
		io->in++;
		return false;
	}
	put_held(dot, io);
	if (dot->state == DOT_DOT_CR)
		hold(dot, '\r');
	dot->state = DOT_TEXT;
	return true;
}

static void decode_text(struct dot_decoder *dot, struct transform_io *io)
{
	if (*io->in == '\n') {
		decode_lf(dot, io);
		return;
	}
	put_held(dot, io);
	decode_bulk(io);
	if (io->in < io->in_end && io->out < io->out_end && *io->in != '\n')
		decode_run(dot, io);
}

static enum transform_status dot_decode(struct transform *t,
					struct transform_io *io,
					enum transform_op op ATTR_UNUSED)
{
	struct dot_decoder *dot =
		container_of(t, struct dot_decoder, transform);

	while (io->in < io->in_end) {
		/* what is held, and a byte of text */
		if (io->out_end - io->out < 3)
			return TRANSFORM_NEED_OUT;
		switch (dot->state) {
		case DOT_LINE_START:
			if (*io->in == '.') {
				io->in++;
				dot->state = DOT_DOT;
				break;
			}
			dot->state = DOT_TEXT;
			put_held(dot, io);
			break;
		case DOT_TEXT:
			decode_text(dot, io);
			break;
		case DOT_DOT:
		case DOT_DOT_CR:
			if (!decode_after_dot(dot, io))
				return TRANSFORM_END;
			break;
		}
	}
	return TRANSFORM_NEED_IN;
}

static void dot_decoder_reset(struct transform *t)
{
	struct dot_decoder *dot =
		container_of(t, struct dot_decoder, transform);

	dot->state = DOT_LINE_START;
	dot->held_size = 0;
}

static void dot_decoder_free(struct transform *t)
{
	i_free(container_of(t, struct dot_decoder, transform));
}

static const struct transform_class dot_decoder_class = {
	.name = "dot",
	.flags = TRANSFORM_DECODER | TRANSFORM_STOP,
	.min_out = 4,
	.max_state = sizeof(struct dot_decoder),
	.process = dot_decode,
	.reset = dot_decoder_reset,
	.free = dot_decoder_free,
};

struct transform *transform_create_dot_decoder(unsigned int flags)
{
	struct dot_decoder *dot = i_new(struct dot_decoder, 1);

	dot->transform.class_ = &dot_decoder_class;
	dot->flags = flags;
	dot_decoder_reset(&dot->transform);
	return &dot->transform;
}
