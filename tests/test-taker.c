/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "test-taker.h"

#include <errno.h>

/* What both functions do first; true: they fail. */
static bool begin(struct test_taker *taker, const char **error_r)
{
	/* no call comes behind the last one */
	assert_int_equal(taker->destroys, 0);
	assert_false(taker->s->closed);
	assert_int_equal(taker->s->stream_errno, 0);
	assert_null(*error_r);
	if (taker->inside != NULL)
		taker->inside(taker);
	if (!taker->fails)
		return false;
	*error_r = taker->text;
	errno = taker->error;
	return true;
}

static ssize_t taker_write(void *context, const void *data, size_t size,
			   const char **error_r)
{
	struct test_taker *taker = context;
	size_t taken;

	taker->writes++;
	taker->data = data;
	taker->size = size;
	assert_true(size > 0);
	assert_true(size >= taker->due->used);
	if (taker->due->used > 0)
		assert_memory_equal(data, taker->due->data, taker->due->used);
	if (begin(taker, error_r))
		return -1;
	taken = I_MIN(size, taker->room);
	if (taker->step != 0)
		taken = I_MIN(taken, taker->step);
	taker->room -= taken;
	buffer_append(taker->got, data, taken);
	buffer_set_used_size(taker->due, 0);
	if (!taker->forgets)
		buffer_append(taker->due, (const char *)data + taken,
			      size - taken);
	return (ssize_t)taken;
}

static int taker_finish(void *context, const char **error_r)
{
	struct test_taker *taker = context;

	taker->finishes++;
	assert_int_equal(taker->due->used, 0);
	if (begin(taker, error_r))
		return -1;
	if (taker->refusals == 0)
		return 1;
	taker->refusals--;
	return 0;
}

static void taker_destroy(void *context)
{
	struct test_taker *taker = context;

	taker->destroys++;
}

void test_taker_init(struct test_taker *taker, size_t max_buffer_size,
		     bool finishes)
{
	struct ostream_callback_methods methods = {
		.write = taker_write,
		.finish = finishes ? taker_finish : NULL,
		.destroy = taker_destroy,
	};

	memset(taker, 0, sizeof(*taker));
	taker->got = buffer_create_dynamic(default_pool, 1024);
	taker->due = buffer_create_dynamic(default_pool, 1024);
	taker->room = SIZE_MAX;
	taker->s = o_stream_create_callback(&methods, taker, max_buffer_size);
	/* they were copied */
	memset(&methods, 0, sizeof(methods));
}

void test_taker_free(struct test_taker *taker)
{
	unsigned int finishes = taker->finishes;

	o_stream_destroy(&taker->s);
	assert_int_equal(taker->destroys, 1);
	assert_int_equal(taker->finishes, finishes);
	buffer_free(&taker->got);
	buffer_free(&taker->due);
}

void test_taker_has(const struct test_taker *taker, const void *data,
		    size_t size)
{
	assert_int_equal(taker->got->used, size);
	if (size > 0)
		assert_memory_equal(taker->got->data, data, size);
}
