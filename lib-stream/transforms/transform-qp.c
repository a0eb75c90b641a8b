/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Quoted-printable, RFC 2045 6.7. */

#include "config.h"
#include "escape-text.h"
#include "macros.h"
#include "mem.h"
#include "plain-run.h"
#include "transforms.h"

#include <errno.h>
#include <string.h>

/* Characters of a line, without its CRLF. */
#define QP_LINE_MAX 76
/* What a decoder may have to hold: white space that may stand before a line end. No
   line should be longer than 76 characters. */
#define QP_HELD_MAX 512

static bool is_blank(unsigned char c)
{
	return c == ' ' || c == '\t';
}

/* Rules 2 and 3: what may stand for itself; white space not at a line's end. */
static bool is_literal(unsigned char c)
{
	return (c >= '!' && c <= '~' && c != '=') || is_blank(c);
}

/*
 * Encoding
 */

/* A soft line break and an encoded byte; another two for a CR that was no line end,
   and the byte before it. */
#define QP_MIN_OUT 12

struct qp_encoder {
	struct transform transform;
	bool binary;
	unsigned int column;
	/* A byte that waits for what follows it: white space is encoded before a
	   line end, and the last character of a line may stand where elsewhere
	   the "=" of a soft line break has to. Then a CR may wait, too. */
	bool have, have_cr;
	unsigned char byte;
};

static struct qp_encoder *qp_encoder(struct transform *t)
{
	return container_of(t, struct qp_encoder, transform);
}

/* Puts out the byte that waits. */
static void put_byte(struct qp_encoder *qp, struct transform_io *io, bool last)
{
	static const char digits[] = "0123456789ABCDEF";
	unsigned char c = qp->byte;
	bool literal = is_literal(c) && !(last && is_blank(c));
	unsigned int size = literal ? 1 : 3;

	if (!qp->have)
		return;
	if (qp->column + size > (last ? QP_LINE_MAX : QP_LINE_MAX - 1)) {
		memcpy(io->out, "=\r\n", 3);
		io->out += 3;
		qp->column = 0;
	}
	if (literal) {
		*io->out++ = c;
	} else {
		*io->out++ = '=';
		*io->out++ = (unsigned char)digits[c >> 4];
		*io->out++ = (unsigned char)digits[c & 15];
	}
	qp->column += size;
	qp->have = false;
}

/* The next byte waits, and the one before it goes out. */
static void take_byte(struct qp_encoder *qp, struct transform_io *io,
		      unsigned char c)
{
	put_byte(qp, io, false);
	qp->byte = c;
	qp->have = true;
}

static void encode_byte(struct qp_encoder *qp, struct transform_io *io,
			unsigned char c)
{
	if (qp->have_cr && c == '\n') {
		put_byte(qp, io, true);
		*io->out++ = '\r';
		*io->out++ = '\n';
		qp->column = 0;
		qp->have_cr = false;
		return;
	}
	if (qp->have_cr)
		take_byte(qp, io, '\r');
	qp->have_cr = c == '\r' && !qp->binary;
	if (!qp->have_cr)
		take_byte(qp, io, c);
}

/* Bytes on the line of the one that waits, which stand for themselves wherever the
   line ends: they need not wait, but for the last. */
static void encode_run(struct qp_encoder *qp, struct transform_io *io)
{
	size_t room = QP_LINE_MAX - 1 - I_MIN(qp->column, QP_LINE_MAX - 1);
	unsigned char last;
	size_t size;

	if (!qp->have || qp->have_cr || !is_literal(qp->byte))
		return;
	size = plain_run(io, room, is_literal);
	if (size == 0)
		return;
	*io->out++ = qp->byte;
	last = io->in[size - 1];
	copy_run(io, size - 1);
	io->in++;
	qp->byte = last;
	qp->column += (unsigned int)size;
}

static enum transform_status
qp_encode(struct transform *t, struct transform_io *io, enum transform_op op)
{
	struct qp_encoder *qp = qp_encoder(t);

	for (;;) {
		encode_run(qp, io);
		if (io->in == io->in_end)
			break;
		if (io->out_end - io->out < QP_MIN_OUT)
			return TRANSFORM_NEED_OUT;
		encode_byte(qp, io, *io->in++);
	}
	if (op == TRANSFORM_RUN)
		return TRANSFORM_NEED_IN;
	/* a flush keeps what waits */
	if (op == TRANSFORM_FINISH && (qp->have || qp->have_cr)) {
		if (io->out_end - io->out < QP_MIN_OUT)
			return TRANSFORM_NEED_OUT;
		if (qp->have_cr)
			take_byte(qp, io, '\r');
		qp->have_cr = false;
		put_byte(qp, io, true);
	}
	return TRANSFORM_DONE;
}

static void qp_encoder_reset(struct transform *t)
{
	struct qp_encoder *qp = qp_encoder(t);

	qp->column = 0;
	qp->have = qp->have_cr = false;
}

static void qp_encoder_free(struct transform *t)
{
	i_free(qp_encoder(t));
}

static const struct transform_class qp_encoder_class = {
	.name = "qp",
	.flags = TRANSFORM_UNFRAMED | TRANSFORM_TRAILER,
	.min_out = QP_MIN_OUT,
	.max_state = sizeof(struct qp_encoder),
	.process = qp_encode,
	.reset = qp_encoder_reset,
	.free = qp_encoder_free,
};

struct transform *transform_create_qp_encoder(bool binary)
{
	struct qp_encoder *qp = i_new(struct qp_encoder, 1);

	qp->transform.class_ = &qp_encoder_class;
	qp->binary = binary;
	return &qp->transform;
}

/*
 * Decoding
 */

struct qp_decoder {
	struct transform transform;
	bool loose;
	/* What is held stands for itself after all, and goes out. */
	bool release;
	/* Bytes whose meaning the next ones tell: white space and a CR behind it;
	   or "=" and a digit; or "=", white space and a CR. */
	unsigned char held[QP_HELD_MAX];
	size_t start, end;
};

static struct qp_decoder *qp_decoder(struct transform *t)
{
	return container_of(t, struct qp_decoder, transform);
}

/* 6.7 (1): small letters are not written, but may be read */
static bool is_digit(unsigned char c)
{
	return hex_value(c) != 0;
}

/* Whether what is held went out. */
static bool drain_held(struct qp_decoder *qp, struct transform_io *io)
{
	size_t size =
		I_MIN(qp->end - qp->start, (size_t)(io->out_end - io->out));

	memcpy(io->out, qp->held + qp->start, size);
	io->out += size;
	qp->start += size;
	if (qp->start < qp->end)
		return false;
	qp->start = qp->end = 0;
	qp->release = false;
	return true;
}

/* Holds the byte back, too; false where there are too many of them. */
static bool hold(struct qp_decoder *qp, unsigned char c)
{
	if (qp->end == sizeof(qp->held))
		return false;
	qp->held[qp->end++] = c;
	return true;
}

enum qp_step {
	QP_TAKEN,   /* the byte was used */
	QP_AGAIN,   /* what is held goes out first */
	QP_REFUSED, /* it has no place here */
};

/* A byte behind "=", which is held with what followed it. */
static enum qp_step decode_behind_equals(struct qp_decoder *qp,
					 struct transform_io *io,
					 unsigned char c)
{
	unsigned char last = qp->held[qp->end - 1];
	bool digit = qp->end == 2 && is_digit(last);

	if (is_digit(c) && digit) {
		*io->out++ = hex_byte(hex_value(last), hex_value(c));
		qp->end = 0;
		return QP_TAKEN;
	}
	if (is_digit(c) && qp->end == 1)
		return hold(qp, c) ? QP_TAKEN : QP_REFUSED;
	if (digit)
		return QP_REFUSED;
	/* a soft line break; what a transport padded it with goes, too */
	if (c == '\n') {
		qp->end = 0;
		return QP_TAKEN;
	}
	if (last != '\r' && (is_blank(c) || c == '\r') && hold(qp, c))
		return QP_TAKEN;
	return QP_REFUSED;
}

/* A byte of the text; white space, and then a CR, may be held. */
static enum qp_step decode_text(struct qp_decoder *qp, struct transform_io *io,
				unsigned char c)
{
	bool cr = qp->end > 0 && qp->held[qp->end - 1] == '\r';

	/* 6.7 (3): white space at the end of a line is a transport's */
	if (c == '\n') {
		if (cr)
			*io->out++ = '\r';
		*io->out++ = '\n';
		qp->end = 0;
		return QP_TAKEN;
	}
	if (cr)
		return QP_REFUSED;
	if (is_blank(c) || c == '\r')
		return hold(qp, c) ? QP_TAKEN : QP_REFUSED;
	if (qp->end > 0)
		return QP_AGAIN;
	if (c != '=' && !is_literal(c) && !qp->loose)
		return QP_REFUSED;
	if (c == '=')
		return hold(qp, c) ? QP_TAKEN : QP_REFUSED;
	*io->out++ = c;
	return QP_TAKEN;
}

static enum transform_status qp_refuse(struct qp_decoder *qp, unsigned char c)
{
	struct transform *t = &qp->transform;

	if (qp->end == sizeof(qp->held))
		return transform_error(t, EINVAL,
				       "too much white space in "
				       "quoted-printable");
	if (qp->end > 0 && qp->held[0] == '=')
		return transform_error(t, EINVAL,
				       "byte 0x%02x behind \"=\" has no place "
				       "in quoted-printable",
				       c);
	if (qp->end > 0 && qp->held[qp->end - 1] == '\r')
		return transform_error(t, EINVAL,
				       "a CR without LF has no place in "
				       "quoted-printable");
	return transform_error(
		t, EINVAL, "byte 0x%02x has no place in quoted-printable", c);
}

static enum transform_status qp_decode_end(struct qp_decoder *qp,
					   struct transform_io *io)
{
	bool equals = qp->end > 0 && qp->held[0] == '=';
	bool cr = qp->end > 0 && qp->held[qp->end - 1] == '\r';

	/* a break, or an escape, that is cut; or a CR without LF */
	if ((equals || cr) && !qp->loose)
		return TRANSFORM_NEED_IN;
	/* a soft line break at the end, and white space, stand for nothing */
	if (qp->end > 0 && (equals ? is_digit(qp->held[qp->end - 1]) : cr)) {
		qp->release = true;
		if (!drain_held(qp, io))
			return TRANSFORM_NEED_OUT;
	}
	qp->end = 0;
	return TRANSFORM_END;
}

/* Text up to whatever is encoded, or may be at a line's end. Of endless white space no more
   is looked at than is held then. */
static void decode_run(struct qp_decoder *qp, struct transform_io *io)
{
	size_t size;

	if (qp->end > 0)
		return;
	size = plain_run(io, QP_HELD_MAX, is_literal);
	while (size > 0 && is_blank(io->in[size - 1]))
		size--;
	copy_run(io, size);
}

static enum transform_status
qp_decode(struct transform *t, struct transform_io *io, enum transform_op op)
{
	struct qp_decoder *qp = qp_decoder(t);
	enum qp_step step;

	for (;;) {
		if (qp->release && !drain_held(qp, io))
			return TRANSFORM_NEED_OUT;
		decode_run(qp, io);
		if (io->in == io->in_end)
			break;
		if (io->out_end - io->out < 2)
			return TRANSFORM_NEED_OUT;
		step = qp->end > 0 && qp->held[0] == '=' ?
			decode_behind_equals(qp, io, *io->in) :
			decode_text(qp, io, *io->in);
		if (step == QP_REFUSED && !qp->loose)
			return qp_refuse(qp, *io->in);
		if (step == QP_TAKEN)
			io->in++;
		else
			qp->release = true;
	}
	return op == TRANSFORM_FINISH ? qp_decode_end(qp, io) :
					TRANSFORM_NEED_IN;
}

static void qp_decoder_reset(struct transform *t)
{
	qp_decoder(t)->start = qp_decoder(t)->end = 0;
	qp_decoder(t)->release = false;
}

static void qp_decoder_free(struct transform *t)
{
	i_free(qp_decoder(t));
}

static const struct transform_class qp_decoder_class = {
	.name = "qp",
	.flags = TRANSFORM_DECODER | TRANSFORM_UNFRAMED,
	.min_out = 2,
	.max_state = sizeof(struct qp_decoder),
	.process = qp_decode,
	.reset = qp_decoder_reset,
	.free = qp_decoder_free,
};

struct transform *transform_create_qp_decoder(bool loose)
{
	struct qp_decoder *qp = i_new(struct qp_decoder, 1);

	qp->transform.class_ = &qp_decoder_class;
	qp->loose = loose;
	return &qp->transform;
}
