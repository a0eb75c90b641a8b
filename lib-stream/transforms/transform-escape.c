/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Each byte as a callback writes it. It appends to a buffer, as much as it likes, and
   what there is no room for waits there. */

#include "config.h"
#include "macros.h"
#include "mem.h"
#include "transforms.h"

#include <string.h>

struct escape_transform {
	struct transform transform;
	transform_escape_callback_t *callback;
	void *context;
	buffer_t *escaped;
	size_t taken; /* of escaped */
};

static struct escape_transform *escape_transform(struct transform *t)
{
	return container_of(t, struct escape_transform, transform);
}

/* False where not all of it has room. */
static bool put_escaped(struct escape_transform *escape,
			struct transform_io *io)
{
	size_t size = escape->escaped->used - escape->taken;
	size_t room = (size_t)(io->out_end - io->out);

	size = I_MIN(size, room);
	if (size > 0)
		memcpy(io->out, escape->escaped->data + escape->taken, size);
	io->out += size;
	escape->taken += size;
	if (escape->taken < escape->escaped->used)
		return false;
	buffer_set_used_size(escape->escaped, 0);
	escape->taken = 0;
	return true;
}

static enum transform_status escape_process(struct transform *t,
					    struct transform_io *io,
					    enum transform_op op)
{
	struct escape_transform *escape = escape_transform(t);
	size_t room;

	for (;;) {
		if (!put_escaped(escape, io))
			return TRANSFORM_NEED_OUT;
		if (io->in == io->in_end)
			break;
		room = (size_t)(io->out_end - io->out);
		if (room == 0)
			return TRANSFORM_NEED_OUT;
		while (io->in < io->in_end && escape->escaped->used < room)
			escape->callback(escape->escaped, *io->in++,
					 escape->context);
	}
	return op == TRANSFORM_RUN ? TRANSFORM_NEED_IN : TRANSFORM_DONE;
}

static void escape_reset(struct transform *t)
{
	buffer_set_used_size(escape_transform(t)->escaped, 0);
	escape_transform(t)->taken = 0;
}

static void escape_free(struct transform *t)
{
	buffer_free(&escape_transform(t)->escaped);
	i_free(escape_transform(t));
}

static const struct transform_class escape_encoder_class = {
	.name = "escape",
	.flags = TRANSFORM_UNFRAMED,
	.min_out = 1,
	.max_state = sizeof(struct escape_transform) + 65536,
	.process = escape_process,
	.reset = escape_reset,
	.free = escape_free,
};

struct transform *
transform_create_escape_encoder(transform_escape_callback_t *callback,
				void *context)
{
	struct escape_transform *escape = i_new(struct escape_transform, 1);

	escape->transform.class_ = &escape_encoder_class;
	escape->callback = callback;
	escape->context = context;
	escape->escaped = buffer_create_dynamic(default_pool, 256);
	return &escape->transform;
}
