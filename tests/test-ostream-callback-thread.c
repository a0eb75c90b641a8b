/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Output to a queue that another thread empties, which says when there is room. */

#include "config.h"
#include "ioloop.h"
#include "ostream.h"
#include "test-common.h"

#include <pthread.h>
#include <stdlib.h>

#define QUEUE_SIZE 1000
#define TOTAL 300000

/* What a stream writes and another thread takes. */
struct queue {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	unsigned char data[QUEUE_SIZE];
	size_t used;
	bool refused, ended;
	struct ostream *stream; /* NULL: it is gone */
	unsigned int wakes;
	buffer_t *got; /* the thread's */
};

static ssize_t queue_write(void *context, const void *data, size_t size,
			   const char **error_r ATTR_UNUSED)
{
	struct queue *q = context;

	(void)pthread_mutex_lock(&q->lock);
	size = I_MIN(size, QUEUE_SIZE - q->used);
	memcpy(q->data + q->used, data, size);
	q->used += size;
	q->refused = size == 0;
	(void)pthread_cond_signal(&q->moved);
	(void)pthread_mutex_unlock(&q->lock);
	return (ssize_t)size;
}

/* 1 when the thread has taken everything. */
static int queue_finish(void *context, const char **error_r ATTR_UNUSED)
{
	struct queue *q = context;
	int ret;

	(void)pthread_mutex_lock(&q->lock);
	q->refused = q->used > 0;
	q->ended = !q->refused;
	ret = q->ended ? 1 : 0;
	(void)pthread_cond_signal(&q->moved);
	(void)pthread_mutex_unlock(&q->lock);
	return ret;
}

static void queue_destroy(void *context)
{
	struct queue *q = context;

	(void)pthread_mutex_lock(&q->lock);
	/* so late the thread might */
	o_stream_callback_wake(q->stream);
	q->stream = NULL;
	(void)pthread_mutex_unlock(&q->lock);
}

static void *take_from_queue(void *context)
{
	struct queue *q = context;

	(void)pthread_mutex_lock(&q->lock);
	while (!q->ended) {
		if (q->used == 0) {
			(void)pthread_cond_wait(&q->moved, &q->lock);
			continue;
		}
		buffer_append(q->got, q->data, q->used);
		q->used = 0;
		if (q->refused && q->stream != NULL) {
			q->refused = false;
			q->wakes++;
			o_stream_callback_wake(q->stream);
		}
	}
	/* whoever is late, too */
	if (q->stream != NULL)
		o_stream_callback_wake(q->stream);
	(void)pthread_mutex_unlock(&q->lock);
	return NULL;
}

struct producer {
	struct ostream *s;
	const unsigned char *data;
	size_t sent;
	int finished;
};

static int produce(struct producer *p)
{
	ssize_t ret;

	while (p->sent < TOTAL) {
		ret = o_stream_send(p->s, p->data + p->sent,
				    I_MIN((size_t)777, TOTAL - p->sent));
		assert_true(ret >= 0);
		p->sent += (size_t)ret;
		if (ret < 777 && p->sent < TOTAL)
			return 0;
	}
	p->finished = o_stream_finish(p->s);
	if (p->finished != 0)
		io_loop_stop(current_ioloop);
	return p->finished;
}

static void test_a_thread_takes(void **state ATTR_UNUSED)
{
	static const struct ostream_callback_methods methods = {
		queue_write, queue_finish, queue_destroy
	};
	unsigned char *data = test_data(TEST_DATA_RANDOM, TOTAL);
	struct producer p = { .data = data };
	struct queue q = { .used = 0 };
	struct ioloop *loop = io_loop_create();
	pthread_t thread;

	(void)pthread_mutex_init(&q.lock, NULL);
	(void)pthread_cond_init(&q.moved, NULL);
	q.got = buffer_create_dynamic(default_pool, TOTAL);
	q.stream = p.s = o_stream_create_callback(&methods, &q, 5000);
	assert_int_equal(pthread_create(&thread, NULL, take_from_queue, &q), 0);
	o_stream_set_flush_callback(p.s, produce, &p);
	o_stream_set_flush_pending(p.s, true);
	io_loop_run(loop);
	assert_int_equal(p.finished, 1);
	o_stream_destroy(&p.s);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(q.got->used, TOTAL);
	assert_memory_equal(q.got->data, data, TOTAL);
	assert_true(q.wakes > 0);
	io_loop_destroy(&loop);
	buffer_free(&q.got);
	(void)pthread_cond_destroy(&q.moved);
	(void)pthread_mutex_destroy(&q.lock);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_thread_takes),
	};

	return cmocka_run_group_tests_name("ostream-callback-thread", tests,
					   NULL, NULL);
}
