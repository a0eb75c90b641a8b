/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The journal store through every power cut: what was acknowledged is there, byte for
   byte; what was removed stays away; the rest is whole or absent; nothing is put
   aside. Segments fill, die and are written anew meanwhile, so that what is stale in
   them is under a new header. And the same with one sync left out, for each. */

#include "config.h"
#include "crash-spool.h"
#include "test-common.h"

/* How many messages are there at a time. */
#define ALIVE 5
#define LAST 32
/* The first one stays so long: meanwhile the segments behind its own may not be
   written anew, as tombstones of its neighbours are in them. */
#define FIRST_STAYS 10

static struct spool *begin(const char *stack)
{
	struct spool_settings settings = { .body = stack, .store = "journal" };

	return crash_spool_begin(test_path("work"), &settings);
}

static void end(struct spool **spool)
{
	spool_close(spool);
	crash_record_end();
}

/* Smaller than a sector, than a block, and of several blocks. */
static size_t size_of(unsigned int i)
{
	static const size_t sizes[] = { 100, 3000, 9000, 700, 14000 };

	return sizes[i % N_ELEMENTS(sizes)];
}

static void must_put(struct spool *spool, unsigned int i)
{
	assert_int_equal(crash_put(spool, i, size_of(i)), IO_DONE);
}

static void must_remove(struct spool *spool, unsigned int i)
{
	assert_int_equal(crash_remove(spool, i), IO_DONE);
}

static void workload(const char *stack, enum crash_sync sync)
{
	struct spool *spool;
	unsigned int i;

	crash_forget();
	crash_leave_out(sync);
	spool = begin(stack);
	for (i = 0; i < LAST; i++) {
		must_put(spool, i);
		/* those whose headers, or bodies as well, are changed */
		if (i % 4 == 3)
			assert_int_equal(crash_rewrite(spool, i - 2,
						       i % 8 == 3),
					 IO_DONE);
		if (i == FIRST_STAYS)
			must_remove(spool, 0);
		if (i > ALIVE)
			must_remove(spool, i - ALIVE);
	}
	end(&spool);
}

static void test_every_power_cut(void **state ATTR_UNUSED)
{
	static const struct {
		const char *stack;
		unsigned int states;
	} rounds[] = { { "", 4 }, { "gzip", 2 } };
	struct crash_keeping keeping = { 0 };
	const char *result;
	size_t states, i;

	for (i = 0; i < N_ELEMENTS(rounds); i++) {
		workload(rounds[i].stack, CRASH_SYNC_NONE);
		/* the same file was several ones */
		assert_true(crash_sync_count(CRASH_SYNC_SEGMENT_HEADER) > 1);
		result =
			crash_explore(test_path("state"),
				      crash_states_per_moment(rounds[i].states),
				      crash_check_spool, &keeping, &states);
		printf("%zu operations, %zu states\n", crash_operation_count(),
		       states);
		if (result != NULL)
			fail_msg("%s", result);
		assert_true(states > 300 / TEST_STEP);
	}
	crash_forget();
}

/* Each mutant must be noticed. */
static void ATTR_UNUSED test_every_sync_is_needed(void **state ATTR_UNUSED)
{
	static const struct {
		enum crash_sync sync;
		const char *name;
	} mutants[] = {
		{ CRASH_SYNC_SEGMENT_DATA, "a new segment's data" },
		{ CRASH_SYNC_SEGMENT_NAME, "a new segment's name" },
		{ CRASH_SYNC_SEGMENT_HEADER,
		  "the header of one that is "
		  "written anew" },
		{ CRASH_SYNC_GROUP, "a group" },
	};
	struct crash_keeping keeping = { 0 };
	const char *result;
	size_t states, i;

	for (i = 0; i < N_ELEMENTS(mutants); i++) {
		workload("", mutants[i].sync);
		/* the workload does meet it */
		assert_true(crash_sync_count(mutants[i].sync) > 0);
		result = crash_explore(test_path("state"), 40,
				       crash_check_spool, &keeping, &states);
		if (result == NULL)
			fail_msg("without the sync of %s nothing breaks",
				 mutants[i].name);
		printf("without the sync of %s: %s\n", mutants[i].name, result);
	}
	crash_forget();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_power_cut),
#if TEST_STEP == 1
		cmocka_unit_test(test_every_sync_is_needed),
#endif
	};

	crash_use_memory();
	return cmocka_run_group_tests_name("crash-journal", tests, NULL, NULL);
}
