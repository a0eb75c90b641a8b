/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The stores under many threads, in one order after the other: each message is what
   was last said of it, nobody waits for ever, and the power may be cut at any moment. */

#include "config.h"
#include "crash-spool.h"
#include "istream.h"
#include "schedule.h"
#include "test-common.h"

#include <pthread.h>
#include <stdlib.h>

#define WRITERS 4
/* Of each; the last of all are CRASH_EXTRA's. */
#define MESSAGES (CRASH_MESSAGES / WRITERS - 1)

struct scene {
	const char *store;
	bool has_upkeep;
	enum crash_sync failing;
	/* of the orders: how many of the moments are looked at, and in how many states */
	size_t each;
	unsigned int states;
};

static const struct scene *scene;
static struct spool *spool;
static unsigned int failures;

struct writer {
	pthread_t thread;
	unsigned int first;
	uint32_t seed;
	/* what it said last of each; 0: it is not there, or nothing is known */
	uint64_t versions[MESSAGES];
	bool is_unknown[MESSAGES];
};

static void look(struct writer *writer, unsigned int i)
{
	uint64_t version = crash_version(spool, writer->first + i);

	if (!writer->is_unknown[i] && version != writer->versions[i])
		schedule_fail("message %u has version %llu, not %llu",
			      writer->first + i, (unsigned long long)version,
			      (unsigned long long)writer->versions[i]);
}

static void note(struct writer *writer, unsigned int i, int answer,
		 uint64_t version)
{
	if (answer == IO_DONE) {
		writer->versions[i] = version;
		return;
	}
	if (answer != IO_TRANS_FAIL || scene->failing == CRASH_SYNC_NONE)
		schedule_fail("message %u: answer %d: %s", writer->first + i,
			      answer, io_get_error());
	failures++;
	writer->is_unknown[i] = true;
}

/* Half of them get another body each time: which one there is says the version then. */
static void change(struct writer *writer, unsigned int i)
{
	unsigned int number = writer->first + i;
	uint64_t version = writer->versions[i];

	if ((test_random(&writer->seed) >> 8) % 3 == 0)
		note(writer, i, crash_remove(spool, number), 0);
	else
		note(writer, i, crash_rewrite(spool, number, number % 2 == 0),
		     version + 1);
}

static void *write_some(void *context)
{
	struct writer *writer = context;
	unsigned int i, other;

	for (i = 0; i < MESSAGES; i++) {
		note(writer, i,
		     crash_put(spool, writer->first + i,
			       50 + (test_random(&writer->seed) >> 8) % 4000),
		     1);
		other = (test_random(&writer->seed) >> 8) % (i + 1);
		look(writer, other);
		if (writer->versions[other] > 0 && !writer->is_unknown[other])
			change(writer, other);
		look(writer, other);
	}
	return NULL;
}

static void found(const message_id *id ATTR_UNUSED, void *context)
{
	(*(unsigned int *)context)++;
}

static void compact_once(void)
{
	uint64_t moved;
	char *error;

	if (spool_compact(spool, &moved, &error) == 0)
		return;
	if (scene->failing == CRASH_SYNC_NONE)
		schedule_fail("%s", error);
	free(error);
	failures++;
}

static void *compact(void *context ATTR_UNUSED)
{
	unsigned int i, count = 0;

	for (i = 0; i < 4; i++)
		compact_once();
	spool_start_scan(spool, found, NULL, &count);
	spool_wait_scan(spool);
	compact_once();
	return NULL;
}

static void check_states(void)
{
	struct crash_keeping keeping = { 0 };
	const char *wrong;
	size_t states;

	crash_explore_each(scene->each);
	wrong = crash_explore(test_path("state"), scene->states,
			      crash_check_spool, &keeping, &states);
	crash_explore_each(1);
	if (wrong != NULL)
		schedule_fail("%s", wrong);
}

static void run_threads(struct writer writers[WRITERS], uint32_t number)
{
	pthread_t compactor;
	unsigned int t;

	for (t = 0; t < WRITERS; t++) {
		writers[t].first = t * MESSAGES;
		writers[t].seed = (number + 1) * (t + 1) | 1;
		assert_int_equal(pthread_create(&writers[t].thread, NULL,
						write_some, &writers[t]),
				 0);
	}
	assert_int_equal(pthread_create(&compactor, NULL, compact, NULL), 0);
	for (t = 0; t < WRITERS; t++)
		assert_int_equal(pthread_join(writers[t].thread, NULL), 0);
	assert_int_equal(pthread_join(compactor, NULL), 0);
}

static void look_at_all(struct writer writers[WRITERS])
{
	unsigned int t, i;

	for (t = 0; t < WRITERS; t++) {
		for (i = 0; i < MESSAGES; i++)
			look(&writers[t], i);
	}
}

static void run_scene(uint32_t number, void *context)
{
	struct spool_settings settings = { 0 };
	struct writer writers[WRITERS];

	scene = context;
	settings.store = scene->store;
	crash_set_upkeep(scene->has_upkeep);
	crash_spool_prepare(&settings, CRASH_SYNC_NONE);
	schedule_begin(number);
	spool = crash_spool_open(test_path("work"));
	if (scene->failing != CRASH_SYNC_NONE)
		crash_fail_later(scene->failing, 3);
	memset(writers, 0, sizeof(writers));
	run_threads(writers, number);
	look_at_all(writers);
	spool_close(&spool);
	/* several threads read what there is */
	spool = crash_spool_open(test_path("work"));
	look_at_all(writers);
	spool_close(&spool);
	schedule_end();
	crash_record_end();
	check_states();
}

/*
 * Behind killed rewrites
 */

#define LEFT 4u

static void *scan_once(void *context)
{
	unsigned int count = 0;

	spool_start_scan(spool, found, NULL, &count);
	spool_wait_scan(spool);
	return context;
}

/* The same bytes, and so the same name, as what the scan takes for nobody's. */
static void *try_again(void *context)
{
	unsigned int i;

	for (i = 0; i < LEFT; i++) {
		if (crash_rewrite(spool, i, true) != IO_DONE ||
		    crash_version(spool, i) != 2)
			schedule_fail("message %u: %s", i, io_get_error());
	}
	return context;
}

static void run_behind_killed_rewrites(uint32_t number,
				       void *context ATTR_UNUSED)
{
	static const struct spool_settings settings = { .store = "file" };
	pthread_t scanner, writer;
	unsigned int i;

	crash_spool_prepare(&settings, CRASH_SYNC_NONE);
	/* now already: the ids are to be the order's, too */
	schedule_begin(number);
	spool = crash_spool_open(test_path("work"));
	for (i = 0; i < LEFT; i++) {
		crash_must_put(spool, i, 500);
		crash_begin_rewrite(spool, i);
	}
	spool_close(&spool);
	spool = crash_spool_open(test_path("work"));
	assert_int_equal(pthread_create(&scanner, NULL, scan_once, NULL), 0);
	assert_int_equal(pthread_create(&writer, NULL, try_again, NULL), 0);
	assert_int_equal(pthread_join(scanner, NULL), 0);
	assert_int_equal(pthread_join(writer, NULL), 0);
	for (i = 0; i < LEFT; i++) {
		if (crash_version(spool, i) != 2)
			schedule_fail("message %u lost its rewrite", i);
	}
	spool_close(&spool);
	schedule_end();
	crash_record_end();
}

/*
 * Claims on two messages
 */

#define REMOVERS 6

static void *remove_it(void *number)
{
	unsigned int i = *(unsigned int *)number;
	int answer = spool_remove(spool, crash_id(i));

	if (answer != IO_DONE && answer != IO_CONT)
		schedule_fail("message %u: %s", i, io_get_error());
	return NULL;
}

/* Whoever lets one go may wake who waits for the other one, and that is not enough. */
static void run_removers(uint32_t number, void *store)
{
	const struct spool_settings settings = { .store = store };
	unsigned int numbers[] = { 0, 1 }, i;
	pthread_t threads[REMOVERS];

	crash_spool_prepare(&settings, CRASH_SYNC_NONE);
	schedule_begin(number);
	spool = crash_spool_open(test_path("work"));
	for (i = 0; i < 2; i++)
		crash_must_put(spool, i, 100);
	for (i = 0; i < REMOVERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, remove_it,
						&numbers[i % 2]),
				 0);
	for (i = 0; i < REMOVERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (i = 0; i < 2; i++) {
		if (crash_version(spool, i) != 0)
			schedule_fail("message %u is there", i);
	}
	spool_close(&spool);
	schedule_end();
	crash_record_end();
}

static void test_claims(void **state ATTR_UNUSED)
{
	static char stores[][8] = { "file", "journal" };
	size_t i;

	for (i = 0; i < N_ELEMENTS(stores); i++)
		schedule_each(40, run_removers, stores[i]);
}

static void test_behind_killed_rewrites(void **state ATTR_UNUSED)
{
	schedule_each(600, run_behind_killed_rewrites, NULL);
}

static void test_writers(void **state ATTR_UNUSED)
{
	struct scene writers = { .store = "journal", .each = 50, .states = 1 };

	schedule_each(40, run_scene, &writers);
}

static void test_upkeep(void **state ATTR_UNUSED)
{
	struct scene upkeep = {
		.store = "journal", .has_upkeep = true, .each = 50, .states = 1
	};

	schedule_each(40, run_scene, &upkeep);
}

static void test_file_store(void **state ATTR_UNUSED)
{
	struct scene files = { .store = "file", .each = 50, .states = 1 };

	schedule_each(6, run_scene, &files);
	files.failing = CRASH_SYNC_HEADERS_DATA;
	schedule_each(4, run_scene, &files);
}

/* One sync fails: who waits for it is told so, and nobody else. */
static void test_failures(void **state ATTR_UNUSED)
{
	static const enum crash_sync syncs[] = { CRASH_SYNC_GROUP,
						 CRASH_SYNC_SEGMENT_HEADER,
						 CRASH_SYNC_SEGMENT_DATA,
						 CRASH_SYNC_SEGMENT_NAME };
	struct scene failing = {
		.store = "journal", .has_upkeep = true, .each = 50, .states = 1
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(syncs); i++) {
		failing.failing = syncs[i];
		schedule_each(12, run_scene, &failing);
	}
	assert_true(failures > 0 || schedule_is_one());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_writers),
		cmocka_unit_test(test_upkeep),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_file_store),
		cmocka_unit_test(test_behind_killed_rewrites),
		cmocka_unit_test(test_claims),
	};

	crash_use_memory();
	return cmocka_run_group_tests_name("schedule-stores", tests, NULL,
					   NULL);
}
