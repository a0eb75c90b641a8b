/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Line ends: LF to CRLF (encoding) and back. */

#include "config.h"
#include "macros.h"
#include "mem.h"
#include "transforms.h"

#include <string.h>

struct crlf_transform {
	struct transform transform;
	/* encoder: the byte before was a CR; decoder: a CR is held back until
	   it is known what follows */
	bool cr;
};

static struct crlf_transform *crlf_transform(struct transform *t)
{
	return container_of(t, struct crlf_transform, transform);
}

/* How far text without the byte `stop` reaches in both windows. */
static size_t run_size(const struct transform_io *io, int stop)
{
	size_t size = I_MIN((size_t)(io->in_end - io->in),
			    (size_t)(io->out_end - io->out));
	const unsigned char *end = memchr(io->in, stop, size);

	return end == NULL ? size : (size_t)(end - io->in);
}

static void copy_bytes(struct transform_io *io, size_t size)
{
	memcpy(io->out, io->in, size);
	io->in += size;
	io->out += size;
}

static enum transform_status
crlf_encode(struct transform *t, struct transform_io *io, enum transform_op op)
{
	struct crlf_transform *crlf = crlf_transform(t);

	while (io->in < io->in_end) {
		if (io->out_end - io->out < 2)
			return TRANSFORM_NEED_OUT;
		if (*io->in == '\n') {
			if (!crlf->cr)
				*io->out++ = '\r';
			*io->out++ = *io->in++;
			crlf->cr = false;
		} else {
			copy_bytes(io, run_size(io, '\n'));
			crlf->cr = io->in[-1] == '\r';
		}
	}
	return op == TRANSFORM_RUN ? TRANSFORM_NEED_IN : TRANSFORM_DONE;
}

static enum transform_status
crlf_decode(struct transform *t, struct transform_io *io, enum transform_op op)
{
	struct crlf_transform *crlf = crlf_transform(t);

	while (io->in < io->in_end) {
		if (io->out_end - io->out < 2)
			return TRANSFORM_NEED_OUT;
		if (crlf->cr && *io->in != '\n')
			*io->out++ = '\r';
		crlf->cr = *io->in == '\r';
		if (crlf->cr)
			io->in++;
		else
			copy_bytes(io, I_MAX(run_size(io, '\r'), (size_t)1));
	}
	if (op != TRANSFORM_FINISH)
		return TRANSFORM_NEED_IN;
	if (crlf->cr) {
		if (io->out == io->out_end)
			return TRANSFORM_NEED_OUT;
		*io->out++ = '\r';
		crlf->cr = false;
	}
	return TRANSFORM_END;
}

static void crlf_reset(struct transform *t)
{
	crlf_transform(t)->cr = false;
}

static void crlf_free(struct transform *t)
{
	i_free(crlf_transform(t));
}

static const struct transform_class crlf_encoder_class = {
	.name = "crlf",
	.flags = TRANSFORM_UNFRAMED,
	.min_out = 2,
	.max_state = sizeof(struct crlf_transform),
	.process = crlf_encode,
	.reset = crlf_reset,
	.free = crlf_free,
};

static const struct transform_class crlf_decoder_class = {
	.name = "crlf",
	/* a CR at the end is put out by the finish */
	.flags = TRANSFORM_DECODER | TRANSFORM_UNFRAMED | TRANSFORM_TRAILER,
	.min_out = 2,
	.max_state = sizeof(struct crlf_transform),
	.process = crlf_decode,
	.reset = crlf_reset,
	.free = crlf_free,
};

static struct transform *create(const struct transform_class *class_)
{
	struct crlf_transform *crlf = i_new(struct crlf_transform, 1);

	crlf->transform.class_ = class_;
	return &crlf->transform;
}

struct transform *transform_create_crlf_encoder(void)
{
	return create(&crlf_encoder_class);
}

struct transform *transform_create_crlf_decoder(void)
{
	return create(&crlf_decoder_class);
}
