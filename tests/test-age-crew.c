/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The threads that seal or open the chunks of one file: several at once, whose order
   stays that in which they were given. */

#include "config.h"
#include "test-stream-common.h"

#include "age-crew.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* Chunks wait in their work until they are let go. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	unsigned int inside; /* chunks that are being worked on */
	unsigned int ended;
	unsigned int let_go; /* a bit for each counter */
	unsigned int opens;  /* the chunk whose end lets all go */
	bool signals_blocked;
	pthread_t last_by;
} held = { .lock = PTHREAD_MUTEX_INITIALIZER,
	   .moved = PTHREAD_COND_INITIALIZER };

static size_t held_work(struct age_aead *aead ATTR_UNUSED, struct age_job *job,
			unsigned char *out)
{
	sigset_t set;

	(void)pthread_mutex_lock(&held.lock);
	held.inside++;
	held.signals_blocked = pthread_sigmask(SIG_BLOCK, NULL, &set) == 0 &&
		sigismember(&set, SIGTERM) == 1;
	(void)pthread_cond_broadcast(&held.moved);
	while ((held.let_go & 1U << job->counter) == 0)
		(void)pthread_cond_wait(&held.moved, &held.lock);
	held.inside--;
	held.ended++;
	if (job->counter == held.opens) {
		held.let_go = ~0U;
		held.last_by = pthread_self();
	}
	(void)pthread_cond_broadcast(&held.moved);
	(void)pthread_mutex_unlock(&held.lock);
	memcpy(out, job->chunk.data, job->chunk.have);
	job->ok = true;
	return job->chunk.have;
}

static void let_go(unsigned int counters)
{
	(void)pthread_mutex_lock(&held.lock);
	held.let_go |= counters;
	(void)pthread_cond_broadcast(&held.moved);
	(void)pthread_mutex_unlock(&held.lock);
}

static void wait_until_inside(unsigned int count)
{
	(void)pthread_mutex_lock(&held.lock);
	while (held.inside != count)
		(void)pthread_cond_wait(&held.moved, &held.lock);
	(void)pthread_mutex_unlock(&held.lock);
}

static void wait_until_ended(unsigned int count)
{
	(void)pthread_mutex_lock(&held.lock);
	while (held.ended != count)
		(void)pthread_cond_wait(&held.moved, &held.lock);
	(void)pthread_mutex_unlock(&held.lock);
}

static void give(struct age_crew *crew, struct age_chunk *chunk,
		 unsigned int counter)
{
	static struct transform nobody;

	assert_true(age_chunk_alloc(chunk, &nobody));
	chunk->data[0] = (unsigned char)counter;
	chunk->have = 1;
	age_crew_give(crew, chunk, counter);
	assert_int_equal(chunk->have, 0);
}

static struct wake_fd nobody;

static struct age_crew *held_crew(void)
{
	static const unsigned char key[AGE_AEAD_KEY_SIZE];
	static struct transform failing;
	struct age_crew *crew =
		age_crew_start(&failing, 2, key, held_work, &nobody);

	assert_non_null(crew);
	held.inside = held.ended = held.let_go = 0;
	held.opens = UINT_MAX;
	held.signals_blocked = false;
	return crew;
}

/* Two at once; what ends first does not come first. */
static void test_two_at_once_and_in_order(void **state ATTR_UNUSED)
{
	struct age_crew *crew = held_crew();
	struct age_chunk chunk = { .data = NULL };
	struct age_job *job;
	unsigned int i;

	for (i = 0; !age_crew_is_full(crew); i++)
		give(crew, &chunk, i);
	assert_int_equal(i, AGE_CREW_SLOTS(2));
	wait_until_inside(2);
	assert_true(held.signals_blocked);
	/* 1 ends, and 2 is begun, while 0 is held */
	let_go(1U << 1);
	wait_until_ended(1);
	wait_until_inside(2);
	assert_null(age_crew_first(crew, false));
	let_go(~0U);
	for (i = 0; i < AGE_CREW_SLOTS(2); i++) {
		job = age_crew_first(crew, true);
		assert_non_null(job);
		assert_int_equal(job->counter, i);
		assert_int_equal(job->chunk.out_end, 1);
		assert_int_equal(job->chunk.data[0], i);
		/* it stays the first until it is dropped */
		assert_ptr_equal(age_crew_first(crew, false), job);
		age_crew_drop(crew);
	}
	assert_null(age_crew_first(crew, true));
	age_crew_stop(&crew);
	assert_null(crew);
	age_chunk_free(&chunk);
}

/* Who waits for the oldest chunk does what nobody has begun meanwhile. */
static void test_the_owner_helps(void **state ATTR_UNUSED)
{
	struct age_crew *crew = held_crew();
	struct age_chunk chunk = { .data = NULL };
	unsigned int i;

	for (i = 0; i < 4; i++)
		give(crew, &chunk, i);
	wait_until_inside(2);
	/* if it slept, nobody would ever let go of 0 and 1 */
	(void)alarm(60);
	held.opens = 3;
	let_go(1U << 2 | 1U << 3);
	for (i = 0; i < 4; i++) {
		assert_int_equal(age_crew_first(crew, true)->counter, i);
		age_crew_drop(crew);
	}
	(void)alarm(0);
	assert_true(pthread_equal(held.last_by, pthread_self()));
	age_crew_stop(&crew);
	age_chunk_free(&chunk);
}

static bool is_child;

int __real_pthread_join(pthread_t id, void **result);
int __wrap_pthread_join(pthread_t id, void **result);

/* Whoever waits for a thread of a crew has told all of them to stop. */
int __wrap_pthread_join(pthread_t id, void **result)
{
	if (is_child)
		_exit(9);
	let_go(~0U);
	return __real_pthread_join(id, result);
}

/* Chunks that are being worked on are waited for, those behind them are not begun. */
static void test_stop_at_work(void **state ATTR_UNUSED)
{
	unsigned int before = test_count_threads(), i;
	struct age_crew *crew = held_crew();
	struct age_chunk chunk = { .data = NULL };

	for (i = 0; i < 4; i++)
		give(crew, &chunk, i);
	wait_until_inside(2);
	age_crew_stop(&crew);
	assert_int_equal(held.inside, 0);
	assert_int_equal(held.ended, 2);
	test_threads_are(before);
	age_chunk_free(&chunk);
}

/* A child that fork() made has nobody to wait for. */
static void test_a_fork_leaves_the_crew(void **state ATTR_UNUSED)
{
	struct age_crew *crew = held_crew();
	struct age_chunk chunk = { .data = NULL };
	unsigned int i;
	int status;
	pid_t pid;

	for (i = 0; i < 3; i++)
		give(crew, &chunk, i);
	wait_until_inside(2);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)alarm(10);
		is_child = true;
		if (age_crew_get_wake_fd(crew, &nobody) != -1 ||
		    errno != EPERM ||
		    age_crew_pending(crew) != (size_t)3 * AGE_CHUNK_SIZE)
			_exit(1);
		age_crew_stop(&crew);
		_exit(crew == NULL ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	age_crew_stop(&crew);
	age_chunk_free(&chunk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_at_once_and_in_order),
		cmocka_unit_test(test_the_owner_helps),
		cmocka_unit_test(test_stop_at_work),
		cmocka_unit_test(test_a_fork_leaves_the_crew),
	};

	return cmocka_run_group_tests_name("age-crew", tests, NULL, NULL);
}
