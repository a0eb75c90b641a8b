/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

#include "config.h"
#include "test-async-common.h"
#include "istream.h"
#include "spool-modules.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

/*
 * Answers
 */

static struct ioloop *loop;
static pthread_t loop_thread;
static unsigned int answers, wanted;

void test_answered(int answer, void *context)
{
	struct test_answer *got = context;

	assert_true(pthread_equal(pthread_self(), loop_thread));
	got->calls++;
	got->answer = answer;
	got->error = io_get_errno();
	(void)snprintf(got->why, sizeof(got->why), "%s", io_get_error());
	if (++answers == wanted && io_loop_is_running(loop))
		io_loop_stop(loop);
}

struct spool_async *test_async_begin(struct spool *spool, unsigned int workers,
				     unsigned int requests_max)
{
	struct spool_async *async;
	char *error;

	loop = io_loop_create();
	loop_thread = pthread_self();
	answers = wanted = 0;
	async = spool_async_new(spool, NULL, workers, requests_max, &error);
	if (async == NULL)
		fail_msg("%s", error);
	return async;
}

void test_async_end(struct spool_async **async, struct spool **spool)
{
	spool_async_close(async);
	assert_null(*async);
	io_loop_destroy(&loop);
	spool_close(spool);
}

unsigned int test_answers(void)
{
	return answers;
}

void test_wait_answers(unsigned int count)
{
	wanted = count;
	if (answers < count)
		io_loop_run(loop);
	assert_int_equal(answers, count);
}

void test_must_be_at(const struct test_answer *got, int want, const char *file,
		     int line)
{
	if (got->calls == 1 && got->answer == want)
		return;
	print_error("%s:%d: answered %u times, at last by %d: %s\n", file, line,
		    got->calls, got->answer, got->why);
	_fail(file, line);
}

email_message *test_async_message(struct spool *spool, message_id *id_r)
{
	struct istream *body = i_stream_create_from_data(
		TEST_SPOOL_WIRE, sizeof(TEST_SPOOL_WIRE) - 1);
	email_message *message;

	spool_new_id(spool, id_r);
	message = email_message_new(id_r);
	(void)email_message_set_sender(message, "a@example.org");
	(void)email_message_add_recipient(message, "b@example.org");
	email_message_set_body(message, body, 0);
	i_stream_unref(&body);
	return message;
}

int test_async_put(struct spool *spool, struct spool_async *async,
		   message_id *id_r, struct test_answer *answer)
{
	email_message *message = test_async_message(spool, id_r);
	int ret = spool_submit_put(async, message, test_answered, answer);

	email_message_unref(&message);
	return ret;
}

void test_async_must_be_missing(struct spool *spool, const message_id *id)
{
	email_message *message;

	assert_int_equal(spool_get(spool, id, &message), IO_FAIL);
	assert_int_equal(io_get_errno(), ENOENT);
}

/*
 * The module
 */

struct test_watch test_watch = { .mutex = PTHREAD_MUTEX_INITIALIZER,
				 .changed = PTHREAD_COND_INITIALIZER };

/* Under the mutex. */
static void add_event(enum io_operation op, const message_id *id, bool after,
		      io_caller caller, int force, int result)
{
	struct test_watch *w = &test_watch;
	unsigned int i = w->count;

	if (w->count++ == TEST_WATCH_MAX)
		abort();
	w->events[i].op = op;
	w->events[i].id = *id;
	w->events[i].after = after;
	w->events[i].caller = caller;
	w->events[i].force = force;
	w->events[i].on_loop = pthread_equal(pthread_self(), loop_thread);
	w->events[i].result = result;
	(void)pthread_cond_broadcast(&w->changed);
}

/* Under the mutex. */
static bool is_held(enum io_operation op, const message_id *id)
{
	const struct test_watch *w = &test_watch;

	return w->holding && w->held_op == op &&
		(w->any_id || message_id_cmp(id, &w->held_id) == 0);
}

static int asked(enum io_operation op, io_caller caller, const message_id *id,
		 int force)
{
	struct test_watch *w = &test_watch;

	(void)pthread_mutex_lock(&w->mutex);
	add_event(op, id, false, caller, force, IO_CONT);
	if (is_held(op, id)) {
		w->inside++;
		while (is_held(op, id))
			(void)pthread_cond_wait(&w->changed, &w->mutex);
		w->inside--;
	}
	(void)pthread_mutex_unlock(&w->mutex);
	return IO_CONT;
}

static int watch_writeheaders(io_infrastructure *io ATTR_UNUSED,
			      io_caller caller, email_message *message,
			      int force)
{
	return asked(IO_OP_WRITEHEADERS, caller, &message->message_id, force);
}

static int watch_readheaders(io_infrastructure *io ATTR_UNUSED,
			     io_caller caller, email_message *message)
{
	return asked(IO_OP_READHEADERS, caller, &message->message_id, 0);
}

static int watch_unlinkheaders(io_infrastructure *io ATTR_UNUSED,
			       io_caller caller, message_id *id)
{
	return asked(IO_OP_UNLINKHEADERS, caller, id, 0);
}

static int watch_writebody(io_infrastructure *io ATTR_UNUSED, io_caller caller,
			   email_message *message, int force)
{
	return asked(IO_OP_WRITEBODY, caller, &message->message_id, force);
}

static int watch_readbody(io_infrastructure *io ATTR_UNUSED, io_caller caller,
			  email_message *message)
{
	return asked(IO_OP_READBODY, caller, &message->message_id, 0);
}

static int watch_unlinkbody(io_infrastructure *io ATTR_UNUSED, io_caller caller,
			    message_id *id)
{
	return asked(IO_OP_UNLINKBODY, caller, id, 0);
}

static void watch_after(io_infrastructure *io ATTR_UNUSED, enum io_operation op,
			const message_id *id, uint64_t version ATTR_UNUSED,
			int result)
{
	(void)pthread_mutex_lock(&test_watch.mutex);
	add_event(op, id, true, IO_ASYNCHRONOUS, 0, result);
	(void)pthread_mutex_unlock(&test_watch.mutex);
}

io_infrastructure *test_watch_new(void)
{
	static io_infrastructure watch = {
		.shared = SPOOL_MODULE_SHARED("watch", "test", "watches")
	};

	watch.shared.after = watch_after;
	watch.io_writeheaders = watch_writeheaders;
	watch.io_readheaders = watch_readheaders;
	watch.io_unlinkheaders = watch_unlinkheaders;
	watch.io_writebody = watch_writebody;
	watch.io_readbody = watch_readbody;
	watch.io_unlinkbody = watch_unlinkbody;
	test_watch.count = test_watch.inside = 0;
	test_watch.holding = false;
	return &watch;
}

void test_watch_hold(enum io_operation op, const message_id *id)
{
	(void)pthread_mutex_lock(&test_watch.mutex);
	test_watch.holding = true;
	test_watch.held_op = op;
	test_watch.any_id = id == NULL;
	if (id != NULL)
		test_watch.held_id = *id;
	(void)pthread_cond_broadcast(&test_watch.changed);
	(void)pthread_mutex_unlock(&test_watch.mutex);
}

void test_watch_release(void)
{
	(void)pthread_mutex_lock(&test_watch.mutex);
	test_watch.holding = false;
	(void)pthread_cond_broadcast(&test_watch.changed);
	(void)pthread_mutex_unlock(&test_watch.mutex);
}

void test_watch_wait_inside(unsigned int count)
{
	(void)pthread_mutex_lock(&test_watch.mutex);
	while (test_watch.inside < count)
		(void)pthread_cond_wait(&test_watch.changed, &test_watch.mutex);
	(void)pthread_mutex_unlock(&test_watch.mutex);
}

/* Under the mutex. */
static unsigned int count_asked(enum io_operation op, const message_id *id)
{
	unsigned int i, count = 0;

	for (i = 0; i < test_watch.count; i++) {
		if (test_watch.events[i].op == op &&
		    !test_watch.events[i].after &&
		    (id == NULL ||
		     message_id_cmp(id, &test_watch.events[i].id) == 0))
			count++;
	}
	return count;
}

unsigned int test_watch_asked(enum io_operation op, const message_id *id)
{
	unsigned int count;

	(void)pthread_mutex_lock(&test_watch.mutex);
	count = count_asked(op, id);
	(void)pthread_mutex_unlock(&test_watch.mutex);
	return count;
}

void test_watch_wait_asked(enum io_operation op, unsigned int count)
{
	(void)pthread_mutex_lock(&test_watch.mutex);
	while (count_asked(op, NULL) < count)
		(void)pthread_cond_wait(&test_watch.changed, &test_watch.mutex);
	(void)pthread_mutex_unlock(&test_watch.mutex);
}

struct spool *test_watched_spool(const char *store)
{
	bool memory = strcmp(store, "memory") == 0;
	struct spool *spool = memory ? spool_new() :
				       test_spool_new_of(store, "gzip");
	char *error;

	assert_int_equal(spool_add_module(spool, test_watch_new(), "", &error),
			 0);
	if (memory)
		assert_int_equal(spool_add_module(spool,
						  spool_module_memory_new(), "",
						  &error),
				 0);
	return spool;
}
