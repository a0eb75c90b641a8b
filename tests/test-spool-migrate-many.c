/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Many messages that move at once: how many, who is told of them, and how far. */

#include "config.h"
#include "file-ops.h"
#include "spool-modules.h"
#include "test-migrate-common.h"

#include <pthread.h>

static const char wire[] = TEST_SPOOL_WIRE;

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	unsigned int inside, wanted;
} gate = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0 };

/* No sync ends before so many have begun. */
static int gated_fdatasync(int fd)
{
	(void)pthread_mutex_lock(&gate.mutex);
	gate.inside++;
	(void)pthread_cond_broadcast(&gate.changed);
	while (gate.inside < gate.wanted)
		(void)pthread_cond_wait(&gate.changed, &gate.mutex);
	(void)pthread_mutex_unlock(&gate.mutex);
	return file_ops_system.fdatasync(fd);
}

static void test_many_are_on_their_way_at_once(void **state ATTR_UNUSED)
{
	struct file_ops ops = file_ops_system;
	message_id ids[TEST_MIGRATE_MANY];
	struct test_told told;
	struct test_pair pair;
	unsigned int i;

	/* in a file store each message has a sync of its own */
	test_pair_new(&test_directions[1], &pair);
	for (i = 0; i < TEST_MIGRATE_MANY; i++)
		test_put_full(pair.from, &ids[i]);
	ops.fdatasync = gated_fdatasync;
	gate.inside = 0;
	gate.wanted = TEST_MIGRATE_MANY;
	file_ops_set(&ops);
	told = test_migrate(&pair, SPOOL_MIGRATE_KEEP);
	file_ops_set(NULL);
	assert_int_equal(told.count, TEST_MIGRATE_MANY);
	assert_int_equal(told.problems, 0);
	for (i = 0; i < TEST_MIGRATE_MANY; i++)
		test_spool_must_have(pair.to, &ids[i], wire, sizeof(wire) - 1);
	test_pair_close(&pair);
}

struct teller {
	pthread_t thread;
	unsigned int count, stop_after;
};

static bool count_and_stop(const struct spool_migrated *what, void *context)
{
	struct teller *teller = context;

	assert_null(what->problem);
	assert_true(pthread_equal(pthread_self(), teller->thread));
	return ++teller->count < teller->stop_after;
}

/* What is on its way then comes to its end, and is told: the counts are right. */
static void test_false_begins_no_other(void **state ATTR_UNUSED)
{
	struct teller teller = { pthread_self(), 0, 3 };
	message_id ids[4 * TEST_MIGRATE_MANY];
	struct test_pair pair;
	unsigned int i;
	char *error;

	test_pair_new(&test_directions[0], &pair);
	for (i = 0; i < 4 * TEST_MIGRATE_MANY; i++)
		assert_int_equal(test_spool_put(pair.from, wire,
						sizeof(wire) - 1, &ids[i]),
				 IO_DONE);
	assert_int_equal(spool_migrate(pair.from, pair.to, 0, count_and_stop,
				       &teller, &error),
			 0);
	assert_in_range(teller.count, 3, 4 * TEST_MIGRATE_MANY - 1);
	assert_int_equal(
		test_spool_scan(test_open_again(&pair.from, pair.from_dir)),
		4 * TEST_MIGRATE_MANY - teller.count);
	assert_int_equal(
		test_spool_scan(test_open_again(&pair.to, pair.to_dir)),
		teller.count);
	test_pair_close(&pair);
}

/* Without a thread all of them move, one after the other. */
static void test_no_threads(void **state ATTR_UNUSED)
{
	message_id ids[2];
	struct test_told told;
	struct test_pair pair;

	test_pair_new(&test_directions[2], &pair);
	test_put_full(pair.from, &ids[0]);
	test_put_large(pair.from, &ids[1]);
	if (!test_threads_fail()) {
		test_pair_close(&pair);
		return;
	}
	told = test_migrate(&pair, 0);
	test_threads_again();
	assert_int_equal(told.count, 2);
	assert_int_equal(told.problems, 0);
	test_must_have_whole(pair.from, 0);
	test_must_have_whole(pair.to, 2);
	test_pair_close(&pair);
}

/* Before anything is told so many are begun, and never more than that are untold. */
#define UNTOLD (2 * TEST_MIGRATE_MANY)

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	unsigned int begun, told, stop_after;
} race = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, 0 };

static int count_begun(io_infrastructure *io ATTR_UNUSED,
		       io_caller caller ATTR_UNUSED,
		       email_message *message ATTR_UNUSED)
{
	(void)pthread_mutex_lock(&race.mutex);
	race.begun++;
	(void)pthread_cond_broadcast(&race.changed);
	(void)pthread_mutex_unlock(&race.mutex);
	return IO_CONT;
}

static bool tell_late(const struct spool_migrated *what,
		      void *context ATTR_UNUSED)
{
	bool more;

	assert_null(what->problem);
	(void)pthread_mutex_lock(&race.mutex);
	while (race.begun < UNTOLD)
		(void)pthread_cond_wait(&race.changed, &race.mutex);
	assert_true(race.begun <= race.told + UNTOLD);
	more = ++race.told < race.stop_after;
	(void)pthread_mutex_unlock(&race.mutex);
	return more;
}

/* However slow it is: what is not told yet takes memory. */
static void test_nobody_is_far_ahead_of_who_is_told(void **state ATTR_UNUSED)
{
	static const unsigned int stops[] = { 1, TEST_MIGRATE_MANY,
					      8 * TEST_MIGRATE_MANY };
	static io_infrastructure counting = { .shared = SPOOL_MODULE_SHARED(
						      "counting", "", ""),
					      .io_readheaders = count_begun };
	message_id ids[5 * TEST_MIGRATE_MANY];
	struct test_pair pair;
	unsigned int n;
	char *error;
	size_t i;

	for (i = 0; i < N_ELEMENTS(stops); i++) {
		test_pair_new(&test_directions[0], &pair);
		assert_int_equal(
			spool_add_module(pair.from, &counting, "", &error), 0);
		for (n = 0; n < N_ELEMENTS(ids); n++)
			assert_int_equal(test_spool_put(pair.from, ".\r\n", 3,
							&ids[n]),
					 IO_DONE);
		race.begun = race.told = 0;
		race.stop_after = stops[i];
		assert_int_equal(spool_migrate(pair.from, pair.to, 0, tell_late,
					       NULL, &error),
				 0);
		test_must_have_whole(pair.to, race.told);
		test_must_have_whole(pair.from,
				     5 * TEST_MIGRATE_MANY - race.told);
		test_pair_close(&pair);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many_are_on_their_way_at_once),
		cmocka_unit_test(test_false_begins_no_other),
		cmocka_unit_test(test_no_threads),
		cmocka_unit_test(test_nobody_is_far_ahead_of_who_is_told),
	};

	return cmocka_run_group_tests_name("spool-migrate-many", tests,
					   test_spool_setup,
					   test_spool_teardown);
}
