/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "line-ends.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct line_transform {
	struct transform transform; /* first */
	struct line_ends *seen;
	uint64_t line;
	bool normalise;
	bool cr; /* held back until it is known what follows */
};

static struct line_transform *line_transform(struct transform *t)
{
	return (struct line_transform *)(void *)t;
}

static bool refuse(struct line_transform *l, const char *why)
{
	if (l->normalise)
		return false;
	(void)transform_error(&l->transform, EINVAL,
			      "line %llu: %s (--normalise accepts it, but what "
			      "comes back is not the same bytes then)",
			      (unsigned long long)l->line, why);
	return true;
}

/* A run is not looked for farther than this, or text of CRs alone would be searched
   to its end for each of them. */
#define MAX_RUN 512

/* Text up to a CR or LF. */
static void copy_run(struct transform_io *io)
{
	size_t size = (size_t)(io->in_end - io->in);
	const unsigned char *end;

	if (size > (size_t)(io->out_end - io->out))
		size = (size_t)(io->out_end - io->out);
	if (size > MAX_RUN)
		size = MAX_RUN;
	end = memchr(io->in, '\n', size);
	if (end != NULL)
		size = (size_t)(end - io->in);
	end = memchr(io->in, '\r', size);
	if (end != NULL)
		size = (size_t)(end - io->in);
	memcpy(io->out, io->in, size);
	io->in += size;
	io->out += size;
}

/* An LF comes; whether the line's end is refused. */
static bool end_line(struct line_transform *l, struct transform_io *io)
{
	if (l->cr)
		l->seen->crlf = true;
	else
		l->seen->lf = true;
	if (l->seen->lf && l->seen->crlf &&
	    refuse(l,
		   l->cr ? "ends in CRLF, lines before it in LF" :
			   "ends in LF, lines before it in CRLF"))
		return true;
	if (l->cr)
		*io->out++ = '\r';
	*io->out++ = '\n';
	io->in++;
	l->cr = false;
	l->line++;
	l->seen->final = true;
	return false;
}

/* A CR that no LF follows. */
static bool lone_cr(struct line_transform *l, struct transform_io *io)
{
	if (refuse(l, "a CR without LF"))
		return true;
	l->seen->crlf = true;
	*io->out++ = '\r';
	*io->out++ = '\n';
	l->cr = false;
	l->line++;
	l->seen->final = true;
	return false;
}

static enum transform_status
line_process(struct transform *t, struct transform_io *io, enum transform_op op)
{
	struct line_transform *l = line_transform(t);

	while (io->in < io->in_end) {
		if (io->out_end - io->out < 2)
			return TRANSFORM_NEED_OUT;
		if (*io->in == '\n') {
			if (end_line(l, io))
				return TRANSFORM_ERROR;
		} else if (l->cr) {
			if (lone_cr(l, io))
				return TRANSFORM_ERROR;
		} else if (*io->in == '\r') {
			l->cr = true;
			io->in++;
		} else {
			l->seen->final = false;
			copy_run(io);
		}
	}
	if (op == TRANSFORM_RUN)
		return TRANSFORM_NEED_IN;
	if (l->cr) {
		if (io->out_end - io->out < 2)
			return TRANSFORM_NEED_OUT;
		if (lone_cr(l, io))
			return TRANSFORM_ERROR;
	}
	return TRANSFORM_DONE;
}

static void line_reset(struct transform *t)
{
	struct line_transform *l = line_transform(t);

	l->line = 1;
	l->cr = false;
	memset(l->seen, 0, sizeof(*l->seen));
	l->seen->final = true;
}

static void line_free(struct transform *t)
{
	free(line_transform(t));
}

static const struct transform_class line_class = {
	.name = "line ends",
	.flags = TRANSFORM_UNFRAMED,
	.min_out = 2,
	.max_state = sizeof(struct line_transform),
	.process = line_process,
	.reset = line_reset,
	.free = line_free,
};

struct transform *line_ends_create(bool normalise, struct line_ends *seen)
{
	struct line_transform *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return transform_create_error("line ends", TRANSFORM_UNFRAMED,
					      ENOMEM, "out of memory");
	l->transform.class_ = &line_class;
	l->seen = seen;
	l->normalise = normalise;
	line_reset(&l->transform);
	return &l->transform;
}
