/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The ASCII armor of the age format, line by line: base64 with padding between two
   marker lines. What it holds is not looked at. */

#include "config.h"
#include "transform-age.h"
#include "age-base64.h"
#include "base64.h"
#include "macros.h"
#include "mem.h"

#include <errno.h>
#include <string.h>

#define ARMOR_BEGIN "-----BEGIN AGE ENCRYPTED FILE-----"
#define ARMOR_END "-----END AGE ENCRYPTED FILE-----"
#define ARMOR_COLUMNS 64
#define ARMOR_LINE_BYTES 48
/* White space before and behind the markers, in bytes each. */
#define ARMOR_WHITESPACE_MAX 1024

/* Finished bytes that wait for a window. */
struct armor_output {
	unsigned char data[128];
	size_t pos, end;
};

static void output_add(struct armor_output *output, const char *text)
{
	size_t size = strlen(text);

	memcpy(output->data + output->end, text, size);
	output->end += size;
}

/* Whether nothing waits any more. */
static bool output_drain(struct armor_output *output, struct transform_io *io)
{
	size_t size = I_MIN(output->end - output->pos,
			    (size_t)(io->out_end - io->out));

	if (size > 0)
		memcpy(io->out, output->data + output->pos, size);
	io->out += size;
	output->pos += size;
	if (output->pos < output->end)
		return false;
	output->pos = output->end = 0;
	return true;
}

/*
 * Encoding
 */

struct armor_encoder {
	struct transform transform;
	struct armor_output output;
	unsigned char bytes[ARMOR_LINE_BYTES]; /* of a line */
	size_t have;
	bool begun, ended;
};

static struct armor_encoder *armor_encoder(struct transform *t)
{
	return container_of(t, struct armor_encoder, transform);
}

static void put_line(struct armor_encoder *armor)
{
	struct armor_output *output = &armor->output;

	if (armor->have == 0)
		return;
	base64_groups_encode(base64_letters, armor->bytes, armor->have,
			     output->data + output->end);
	output->end += BASE64_SIZE(armor->have);
	output_add(output, "\n");
	armor->have = 0;
}

static enum transform_status
armor_encode(struct transform *t, struct transform_io *io, enum transform_op op)
{
	struct armor_encoder *armor = armor_encoder(t);
	size_t size;

	if (!armor->begun) {
		if (op != TRANSFORM_FINISH && io->in == io->in_end)
			return TRANSFORM_NEED_IN;
		output_add(&armor->output, ARMOR_BEGIN "\n");
		armor->begun = true;
	}
	for (;;) {
		if (!output_drain(&armor->output, io))
			return TRANSFORM_NEED_OUT;
		if (armor->ended)
			return TRANSFORM_DONE;
		size = I_MIN(ARMOR_LINE_BYTES - armor->have,
			     (size_t)(io->in_end - io->in));
		if (size > 0) {
			memcpy(armor->bytes + armor->have, io->in, size);
			armor->have += size;
			io->in += size;
		}
		if (armor->have == ARMOR_LINE_BYTES) {
			put_line(armor);
		} else if (op == TRANSFORM_FINISH) {
			put_line(armor);
			output_add(&armor->output, ARMOR_END "\n");
			armor->ended = true;
		} else {
			return TRANSFORM_NEED_IN;
		}
	}
}

static void armor_encoder_reset(struct transform *t)
{
	struct armor_encoder *armor = armor_encoder(t);

	armor->have = 0;
	armor->output.pos = armor->output.end = 0;
	armor->begun = armor->ended = false;
}

static void armor_encoder_free(struct transform *t)
{
	i_free(armor_encoder(t));
}

static const struct transform_class armor_encoder_class = {
	.name = "armor",
	/* a flush keeps the line that is not full: it has no end yet */
	.flags = TRANSFORM_TRAILER,
	.min_out = 1,
	.max_state = sizeof(struct armor_encoder),
	.process = armor_encode,
	.reset = armor_encoder_reset,
	.free = armor_encoder_free,
};

struct transform *transform_create_armor_encoder(void)
{
	struct armor_encoder *armor = i_new(struct armor_encoder, 1);

	armor->transform.class_ = &armor_encoder_class;
	return &armor->transform;
}

/*
 * Decoding
 */

enum armor_state {
	ARMOR_BEFORE,
	ARMOR_BODY,
	ARMOR_BEHIND
};

struct armor_decoder {
	struct transform transform;
	struct armor_output output;
	enum armor_state state;
	char line[ARMOR_COLUMNS + 1]; /* with its CR */
	size_t have;
	unsigned long long number; /* of the line, from 1 */
	size_t whitespace;
	bool last_line; /* a short line was read: only the end may follow */
	struct base64_values values;
};

static struct armor_decoder *armor_decoder(struct transform *t)
{
	return container_of(t, struct armor_decoder, transform);
}

static enum transform_status bad_line(struct armor_decoder *armor,
				      const char *what)
{
	return transform_error(&armor->transform, EINVAL, "line %llu: %s",
			       armor->number, what);
}

static bool is_line(const struct armor_decoder *armor, const char *text)
{
	size_t size = armor->have;

	if (size > 0 && armor->line[size - 1] == '\r')
		size--;
	return size == strlen(text) && memcmp(armor->line, text, size) == 0;
}

static bool is_whitespace(unsigned char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_blank(const struct armor_decoder *armor)
{
	size_t i;

	for (i = 0; i < armor->have; i++) {
		if (!is_whitespace((unsigned char)armor->line[i]))
			return false;
	}
	return true;
}

static enum transform_status read_body_line(struct armor_decoder *armor)
{
	size_t size = armor->have;

	if (is_line(armor, ARMOR_END)) {
		armor->state = ARMOR_BEHIND;
		return TRANSFORM_NEED_IN;
	}
	if (size > 0 && armor->line[size - 1] == '\r')
		size--;
	if (armor->last_line)
		return bad_line(armor,
				"\"" ARMOR_END "\" must follow a line "
				"that is short or padded");
	if (size == 0)
		return bad_line(armor, "an empty line within the armor");
	if (size > ARMOR_COLUMNS)
		return bad_line(armor, "longer than 64 characters");
	if (!age_base64_decode(sodium_base64_VARIANT_ORIGINAL, armor->line,
			       size, armor->output.data, ARMOR_LINE_BYTES,
			       &armor->output.end)) {
		armor->output.end = 0;
		return bad_line(armor, "not canonical base64 with padding");
	}
	armor->last_line = armor->output.end < ARMOR_LINE_BYTES;
	return TRANSFORM_NEED_IN;
}

static enum transform_status read_line(struct armor_decoder *armor)
{
	enum transform_status status = TRANSFORM_NEED_IN;

	if (armor->state == ARMOR_BODY)
		status = read_body_line(armor);
	else if (is_line(armor, ARMOR_BEGIN))
		armor->state = ARMOR_BODY;
	else if (!is_blank(armor))
		status = bad_line(armor, "\"" ARMOR_BEGIN "\" is expected");
	armor->have = 0;
	armor->number++;
	return status;
}

static enum transform_status decode_char(struct armor_decoder *armor,
					 unsigned char c)
{
	if (armor->state == ARMOR_BEHIND && !is_whitespace(c))
		return bad_line(armor, "data after the end");
	if (armor->state != ARMOR_BODY && is_whitespace(c) &&
	    ++armor->whitespace > ARMOR_WHITESPACE_MAX)
		return bad_line(armor, "too much white space");
	if (armor->state == ARMOR_BEHIND) {
		if (c == '\n')
			armor->number++;
		return TRANSFORM_NEED_IN;
	}
	if (c == '\n')
		return read_line(armor);
	if (armor->have == sizeof(armor->line)) {
		/* a line of blanks, counted already, may be any length */
		if (armor->state == ARMOR_BEFORE && is_whitespace(c) &&
		    is_blank(armor))
			return TRANSFORM_NEED_IN;
		return bad_line(armor,
				armor->state == ARMOR_BODY ?
					"longer than 64 characters" :
					"\"" ARMOR_BEGIN "\" is expected");
	}
	armor->line[armor->have++] = (char)c;
	return TRANSFORM_NEED_IN;
}

/* A line that is full, and comes and goes out whole, as most of them. What it is not
   is said by read_body_line(). */
static bool take_full_line(struct armor_decoder *armor, struct transform_io *io)
{
	const unsigned char *end;

	if (armor->state != ARMOR_BODY || armor->have > 0 || armor->last_line ||
	    io->out_end - io->out < ARMOR_LINE_BYTES ||
	    io->in_end - io->in < ARMOR_COLUMNS + 2)
		return false;
	end = io->in + ARMOR_COLUMNS;
	if (*end == '\r')
		end++;
	if (*end != '\n' ||
	    base64_groups_decode(&armor->values, io->in, ARMOR_COLUMNS / 4,
				 io->out) < ARMOR_COLUMNS / 4)
		return false;
	io->in = end + 1;
	io->out += ARMOR_LINE_BYTES;
	armor->number++;
	return true;
}

static enum transform_status
armor_decode(struct transform *t, struct transform_io *io, enum transform_op op)
{
	struct armor_decoder *armor = armor_decoder(t);

	for (;;) {
		if (!output_drain(&armor->output, io))
			return TRANSFORM_NEED_OUT;
		if (take_full_line(armor, io))
			continue;
		if (io->in == io->in_end)
			break;
		if (decode_char(armor, *io->in) == TRANSFORM_ERROR)
			return TRANSFORM_ERROR;
		io->in++;
		/* behind the marker white space is counted anew */
		if (armor->state == ARMOR_BODY)
			armor->whitespace = 0;
	}
	if (op != TRANSFORM_FINISH)
		return TRANSFORM_NEED_IN;
	/* the last line end may be missing */
	return armor->state == ARMOR_BEHIND ||
			(armor->state == ARMOR_BODY &&
			 is_line(armor, ARMOR_END)) ?
		TRANSFORM_END :
		TRANSFORM_NEED_IN;
}

static void armor_decoder_reset(struct transform *t)
{
	struct armor_decoder *armor = armor_decoder(t);

	armor->output.pos = armor->output.end = 0;
	armor->state = ARMOR_BEFORE;
	armor->have = armor->whitespace = 0;
	armor->number = 1;
	armor->last_line = false;
}

static void armor_decoder_free(struct transform *t)
{
	i_free(armor_decoder(t));
}

static const struct transform_class armor_decoder_class = {
	.name = "armor",
	.flags = TRANSFORM_DECODER | TRANSFORM_EXACT,
	.min_out = 1,
	.max_state = sizeof(struct armor_decoder),
	.process = armor_decode,
	.reset = armor_decoder_reset,
	.free = armor_decoder_free,
};

struct transform *transform_create_armor_decoder(void)
{
	struct armor_decoder *armor = i_new(struct armor_decoder, 1);

	armor->transform.class_ = &armor_decoder_class;
	armor->number = 1;
	base64_values_init(&armor->values, base64_letters);
	return &armor->transform;
}
