/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The file store through every power cut: what was acknowledged is there, byte for
   byte; what was removed stays away; the rest is whole or absent. And the same with
   one sync left out, for each: then the exploration must find a state that breaks
   it, or that sync would be there for nothing. */

#include "config.h"
#include "crash-spool.h"
#include "test-common.h"

/* Octets of a body, about. */
#define SIZE 60
/* Whose second version has another body. */
#define CHANGED 2

static void workload(const char *stack, enum crash_sync sync)
{
	struct spool_settings settings = { .body = stack };
	struct spool *spool;

	spool = crash_spool_begin(&settings, sync);
	crash_must_put(spool, 0, SIZE);
	crash_must_put(spool, 1, SIZE);
	assert_int_equal(crash_rewrite(spool, 0, false), IO_DONE);
	crash_must_put(spool, CHANGED, SIZE);
	assert_int_equal(crash_rewrite(spool, CHANGED, true), IO_DONE);
	crash_must_remove(spool, 1);
	crash_must_put(spool, 3, SIZE);
	crash_must_remove(spool, 0);
	crash_must_remove(spool, CHANGED);
	crash_spool_end(&spool);
}

static void test_every_power_cut(void **state ATTR_UNUSED)
{
	static const char *const stacks[] = { "", "gzip" };
	struct crash_keeping keeping = { .every = 0 };
	size_t i;

	for (i = 0; i < N_ELEMENTS(stacks); i++) {
		workload(stacks[i], CRASH_SYNC_NONE);
		assert_true(crash_must_hold(&keeping, 12) > 300 / TEST_STEP);
	}
	crash_forget();
}

/* Headers that were refused, as their name did not become durable, may come back: not
   without their body. */
static void test_refused_headers(void **state ATTR_UNUSED)
{
	const struct spool_settings settings = { .body = "" };
	struct crash_keeping keeping = { .every = 0 };
	struct spool *spool;

	spool = crash_spool_begin(&settings, CRASH_SYNC_NONE);
	crash_record_base();
	crash_fail(CRASH_SYNC_HEADERS_NAME);
	assert_int_equal(crash_put(spool, 0, SIZE), IO_TRANS_FAIL);
	crash_spool_end(&spool);
	(void)crash_must_hold(&keeping, 700);
	crash_forget();
}

/* A scan finds headers that speak of another body, and that a killed process did not make
   durable: the body before is needed as long as those before may come back. */
static void test_body_of_killed_rewrite(void **state ATTR_UNUSED)
{
	const struct spool_settings settings = { .body = "" };
	struct crash_keeping keeping = { .every = 0 };
	struct spool *spool;

	spool = crash_spool_begin(&settings, CRASH_SYNC_NONE);
	crash_must_put(spool, 0, SIZE);
	crash_record_base();
	crash_kill(CRASH_SYNC_HEADERS_NAME);
	(void)crash_rewrite(spool, 0, true);
	spool_close(&spool);
	assert_true(crash_revive());
	spool = crash_spool_open(test_path("work"));
	spool_start_scan(spool, NULL, NULL, NULL);
	spool_wait_scan(spool);
	assert_int_equal(crash_version(spool, 0), 2);
	crash_spool_end(&spool);
	(void)crash_must_hold(&keeping, 300);
	crash_forget();
}

/* Each mutant must be noticed. */
static void ATTR_UNUSED test_every_sync_is_needed(void **state ATTR_UNUSED)
{
	static const struct {
		enum crash_sync sync;
		const char *name;
	} mutants[] = {
		{ CRASH_SYNC_BUCKET_NAME, "the new bucket's name" },
		{ CRASH_SYNC_BODY_DATA, "the body's data" },
		{ CRASH_SYNC_BODY_NAME, "the body's name" },
		{ CRASH_SYNC_HEADERS_DATA, "the headers' data" },
		{ CRASH_SYNC_HEADERS_NAME, "the headers' name" },
		{ CRASH_SYNC_UNLINK_NAME, "the removal of the headers" },
	};
	struct crash_keeping keeping = { .every = 0 };
	size_t i;

	for (i = 0; i < N_ELEMENTS(mutants); i++) {
		workload("", mutants[i].sync);
		crash_must_break(mutants[i].sync, mutants[i].name, &keeping);
	}
	crash_forget();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_power_cut),
		cmocka_unit_test(test_refused_headers),
		cmocka_unit_test(test_body_of_killed_rewrite),
#if TEST_STEP == 1
		cmocka_unit_test(test_every_sync_is_needed),
#endif
	};

	crash_use_memory();
	return cmocka_run_group_tests_name("crash-file-store", tests, NULL,
					   NULL);
}
