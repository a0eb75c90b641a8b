/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Streams with threads in a child that fork() made: it has none of them, and what they had
   locked stays locked. The child waits for nothing, and takes nothing from its parent. */

#include "config.h"
#include "test-held-codec.h"

#include "async-private.h"
#include "transform-age.h"
#include "transforms.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Long enough for every crew: age's begins after 512 KiB. */
#define LONG (16 * TEST_BLOCK)

static void child_must_do_well(pid_t pid)
{
	int status;

	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int use_stream(struct ostream *s)
{
	(void)alarm(10);
	if (o_stream_send(s, "x", 1) >= 0 && o_stream_flush(s) >= 0)
		return 1;
	if (s->stream_errno != EPERM ||
	    strstr(o_stream_get_error(s), "by fork()") == NULL)
		return 2;
	(void)o_stream_get_buffer_used_size(s);
	o_stream_abort(s);
	o_stream_destroy(&s);
	return 0;
}

static int use_transform(struct transform *t)
{
	const struct transform_class *class_ = t->class_;
	unsigned char out[10];
	struct transform_io io = { .in = out,
				   .in_end = out,
				   .out = out,
				   .out_end = out + sizeof(out) };
	unsigned int i;

	(void)alarm(10);
	for (i = 0; i < 2; i++) {
		if (class_->get_wake_fd(t) != -1 || errno != EPERM)
			return 1;
		if (class_->get_pending(t) == 0)
			return 2;
		if (class_->process(t, &io, TRANSFORM_POLL) !=
			    TRANSFORM_ERROR ||
		    t->error_errno != EPERM)
			return 3;
		class_->reset(t);
		if (t->error_errno != 0)
			return 4;
	}
	transform_free(&t);
	return 0;
}

static int destroy(struct ostream *s)
{
	(void)alarm(10);
	o_stream_abort(s);
	o_stream_destroy(&s);
	return 0;
}

/* With some of the bytes on their way, a child that uses it and one that does not. */
static void forks_of(struct transform *t)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, LONG);
	struct ostream *end = o_stream_create_null();
	struct ostream *s = o_stream_create_transform(end, t);
	pid_t pid;

	assert_int_equal(o_stream_send(s, data, LONG), LONG);
	pid = fork();
	if (pid == 0)
		_exit(use_stream(s));
	child_must_do_well(pid);
	pid = fork();
	if (pid == 0)
		_exit(destroy(s));
	child_must_do_well(pid);
	/* the parent's is as it was */
	assert_int_equal(o_stream_finish(s), 1);
	o_stream_destroy(&s);
	o_stream_destroy(&end);
	free(data);
}

static void test_zstd_threads(void **state ATTR_UNUSED)
{
	struct transform *t = transform_create_zstd_threads_encoder(3, 2);

	if (t->error_errno == ENOTSUP) {
		transform_free(&t);
		skip();
	}
	forks_of(t);
}

static void test_age_threads(void **state ATTR_UNUSED)
{
	forks_of(transform_create_age_threads_encoder(test_keys.recipients, 2));
}

static void test_async(void **state ATTR_UNUSED)
{
	forks_of(transform_create_async(transform_create_hex_encoder()));
}

/* Reads on until an error, from where it is or from the beginning. */
static int read_stream(struct istream *input, bool seek)
{
	const unsigned char *data;
	size_t size;

	(void)alarm(10);
	if (seek)
		i_stream_seek(input, 0);
	while (i_stream_read_more(input, &data, &size) > 0)
		i_stream_skip(input, size);
	if (input->stream_errno != EPERM)
		return 1;
	i_stream_destroy(&input);
	return 0;
}

static void forks_of_reader(struct transform *encoder,
			    struct transform *decoder)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, LONG);
	buffer_t *buf = buffer_create_dynamic(default_pool, 0);
	struct ostream *end = o_stream_create_buffer(buf);
	struct ostream *s = o_stream_create_transform(end, encoder);
	struct istream *in, *input;
	size_t done, size;
	const unsigned char *got;
	unsigned int i;
	pid_t pid;

	assert_int_equal(o_stream_send(s, data, LONG), LONG);
	assert_int_equal(o_stream_finish(s), 1);
	o_stream_destroy(&s);
	o_stream_destroy(&end);
	in = i_stream_create_from_buffer(buf);
	input = i_stream_create_transform(in, decoder);
	for (done = 0; done < LONG / 2; done += size) {
		assert_true(i_stream_read_more(input, &got, &size) > 0);
		i_stream_skip(input, size);
	}
	for (i = 0; i < 2; i++) {
		pid = fork();
		if (pid == 0)
			_exit(read_stream(input, i > 0));
		child_must_do_well(pid);
	}
	for (; i_stream_read_more(input, &got, &size) > 0; done += size)
		i_stream_skip(input, size);
	assert_int_equal(input->stream_errno, 0);
	assert_int_equal(done, LONG);
	i_stream_destroy(&input);
	i_stream_destroy(&in);
	buffer_free(&buf);
	free(data);
}

static void test_readers(void **state ATTR_UNUSED)
{
	forks_of_reader(
		transform_create_age_encoder(test_keys.recipients),
		transform_create_age_threads_decoder(test_keys.identities, 2));
	forks_of_reader(transform_create_age_encoder(test_keys.recipients),
			transform_create_async(transform_create_age_decoder(
				test_keys.identities)));
}

/* As the worker may have the lock, and with a wake-up that the parent did not see yet. */
static void test_async_with_its_lock_held(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_BLOCK);
	struct test_held_codec *held;
	struct async_transform *async;
	struct transform_io io = { 0 };
	struct test_gate gate;
	struct transform *t;
	struct pollfd woken;
	pid_t pid;

	test_gate_init(&gate);
	test_gate_open(&gate);
	held = test_held_new(&gate, SIZE_MAX);
	held->transform.class_ = &test_held_decoder_class;
	t = transform_create_async(&held->transform);
	async = container_of(t, struct async_transform, transform);
	io.in = data;
	io.in_end = data + TEST_BLOCK;
	io.out = io.out_end = data;
	assert_int_not_equal(t->class_->process(t, &io, TRANSFORM_RUN),
			     TRANSFORM_ERROR);
	woken.fd = t->class_->get_wake_fd(t);
	woken.events = POLLIN;
	assert_int_equal(poll(&woken, 1, -1), 1);
	(void)pthread_mutex_lock(&async->lock);
	pid = fork();
	if (pid == 0)
		_exit(use_transform(t));
	(void)pthread_mutex_unlock(&async->lock);
	child_must_do_well(pid);
	assert_int_equal(poll(&woken, 1, 0), 1);
	assert_true(t->class_->get_pending(t) > 0);
	transform_free(&t);
	test_gate_free(&gate);
	free(data);
}

/* What the parent had not begun with is the child's as much. */
static void test_not_begun(void **state ATTR_UNUSED)
{
	struct ostream *end = o_stream_create_null();
	struct ostream *s = o_stream_create_transform(
		end, transform_create_async(transform_create_hex_encoder()));
	pid_t pid = fork();

	if (pid == 0) {
		(void)alarm(10);
		_exit(o_stream_send(s, "x", 1) == 1 && o_stream_finish(s) == 1 ?
			      0 :
			      1);
	}
	child_must_do_well(pid);
	o_stream_abort(s);
	o_stream_destroy(&s);
	o_stream_destroy(&end);
}

/*
 * The cache of contexts
 */

static bool fork_before_unlock;
static pid_t forked;

static int use_cache(void)
{
	struct transform *t = transform_create_gzip_encoder(1);

	if (t->error_errno != 0)
		return 1;
	transform_free(&t);
	return 0;
}

int __real_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex);

/* As if another thread had the lock when the child is made. */
int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
	if (fork_before_unlock) {
		fork_before_unlock = false;
		forked = fork();
		if (forked == 0) {
			(void)alarm(10);
			_exit(use_cache());
		}
	}
	return __real_pthread_mutex_unlock(mutex);
}

/* Who does not get the cache's lock goes without. The blocks have none. */
static void test_the_cache_of_contexts(void **state ATTR_UNUSED)
{
	struct transform *t;

	fork_before_unlock = true;
	t = transform_create_gzip_encoder(1);
	assert_false(fork_before_unlock);
	child_must_do_well(forked);
	fork_before_unlock = true;
	transform_free(&t);
	assert_false(fork_before_unlock);
	child_must_do_well(forked);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zstd_threads),
		cmocka_unit_test(test_age_threads),
		cmocka_unit_test(test_async),
		cmocka_unit_test(test_readers),
		cmocka_unit_test(test_async_with_its_lock_held),
		cmocka_unit_test(test_not_begun),
		cmocka_unit_test(test_the_cache_of_contexts),
	};

	return cmocka_run_group_tests_name("stream-forks", tests,
					   test_fixed_keys_setup,
					   test_keys_teardown);
}
