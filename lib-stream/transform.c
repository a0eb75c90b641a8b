/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "transform.h"
#include "macros.h"
#include "mem.h"
#include "panic.h"

enum transform_status transform_error(struct transform *t, int error_errno,
				      const char *fmt, ...)
{
	va_list args;

	i_assert(error_errno > 0);
	if (t->error_errno == 0) {
		t->error_errno = error_errno;
		va_start(args, fmt);
		t->error = i_strdup_vprintf(fmt, args);
		va_end(args);
	}
	return TRANSFORM_ERROR;
}

void transform_clear_error(struct transform *t)
{
	t->error_errno = 0;
	t->error_left = 0;
	i_free_and_null(t->error);
}

void transform_free(struct transform **_t)
{
	struct transform *t = *_t;

	if (t == NULL)
		return;
	*_t = NULL;
	i_free_and_null(t->error);
	t->class_->free(t);
}

/*
 * A transform that was born failed
 */

struct error_transform {
	struct transform transform;
	struct transform_class class_;
	int error_errno;
	char *error;
};

/* It fails again after who reuses it has cleared the error. */
static enum transform_status error_process(struct transform *t,
					   struct transform_io *io ATTR_UNUSED,
					   enum transform_op op ATTR_UNUSED)
{
	struct error_transform *error =
		container_of(t, struct error_transform, transform);

	return transform_error(t, error->error_errno, "%s", error->error);
}

static void error_reset(struct transform *t ATTR_UNUSED)
{
}

static void error_free(struct transform *t)
{
	struct error_transform *error =
		container_of(t, struct error_transform, transform);

	i_free(error->error);
	i_free(error);
}

struct transform *transform_create_error(const char *name, unsigned int flags,
					 int error_errno, const char *fmt, ...)
{
	struct error_transform *error = i_new(struct error_transform, 1);
	va_list args;

	error->class_.name = name;
	error->class_.flags = flags & ~(unsigned int)TRANSFORM_TRAILER;
	error->class_.min_out = 1;
	error->class_.process = error_process;
	error->class_.reset = error_reset;
	error->class_.free = error_free;
	error->transform.class_ = &error->class_;
	error->error_errno = error_errno;
	va_start(args, fmt);
	error->error = i_strdup_vprintf(fmt, args);
	va_end(args);
	(void)transform_error(&error->transform, error_errno, "%s",
			      error->error);
	return &error->transform;
}
