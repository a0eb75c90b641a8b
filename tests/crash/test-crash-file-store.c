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

/* Who is told "no" may try again: what was acknowledged before stays, and what is then. */
static void fail_each_once(enum crash_sync sync)
{
	static const struct spool_settings settings = { .body = "" };
	struct spool *spool = crash_spool_begin(&settings, CRASH_SYNC_NONE);
	unsigned int failures = 0;

	crash_must_put(spool, 0, SIZE);
	crash_must_put(spool, 1, SIZE);
	crash_record_base();
	crash_fail(sync);
	failures += crash_put(spool, 2, SIZE) == IO_TRANS_FAIL;
	crash_must_put(spool, 3, SIZE);
	crash_fail(sync);
	failures += crash_rewrite(spool, 0, true) == IO_TRANS_FAIL;
	crash_fail(sync);
	failures += crash_remove(spool, 1) == IO_TRANS_FAIL;
	crash_fail(CRASH_SYNC_NONE);
	assert_true(failures > 0);
	assert_true(crash_version(spool, 0) > 0);
	assert_int_equal(crash_rewrite(spool, 0, true), IO_DONE);
	assert_int_equal(crash_rewrite(spool, 3, false), IO_DONE);
	crash_must_put(spool, 4, SIZE);
	crash_spool_end(&spool);
}

static void test_syncs_that_fail(void **state ATTR_UNUSED)
{
	static const enum crash_sync syncs[] = {
		CRASH_SYNC_BUCKET_NAME,  CRASH_SYNC_BODY_DATA,
		CRASH_SYNC_BODY_NAME,    CRASH_SYNC_HEADERS_DATA,
		CRASH_SYNC_HEADERS_NAME, CRASH_SYNC_UNLINK_NAME
	};
	struct crash_keeping keeping = { .every = 0 };
	size_t i;

	for (i = 0; i < N_ELEMENTS(syncs); i++) {
		fail_each_once(syncs[i]);
		(void)crash_must_hold(&keeping, 8);
	}
	crash_forget();
}

static void found(const message_id *id ATTR_UNUSED, void *context)
{
	(*(unsigned int *)context)++;
}

/* What a killed process renamed, or removed, need not be so for ever: the next one sweeps bodies
   by what it sees, and each message is whole all the same, as it was or as it was to be. */
static void kill_before(enum crash_sync sync, bool removes)
{
	static const struct spool_settings settings = { .body = "" };
	struct spool *spool = crash_spool_begin(&settings, CRASH_SYNC_NONE);
	unsigned int count = 0;

	crash_must_put(spool, 0, SIZE);
	crash_must_put(spool, 1, SIZE);
	crash_record_base();
	crash_kill(sync);
	if (removes)
		(void)crash_remove(spool, 0);
	else
		(void)crash_rewrite(spool, 0, true);
	spool_close(&spool);
	assert_true(crash_revive());
	spool = crash_spool_open(test_path("work"));
	spool_start_scan(spool, found, NULL, &count);
	spool_wait_scan(spool);
	assert_int_equal(count, removes ? 1 : 2);
	crash_must_put(spool, 2, SIZE);
	crash_spool_end(&spool);
}

static void test_killed(void **state ATTR_UNUSED)
{
	static const enum crash_sync syncs[] = { CRASH_SYNC_BODY_DATA,
						 CRASH_SYNC_BODY_NAME,
						 CRASH_SYNC_HEADERS_DATA,
						 CRASH_SYNC_HEADERS_NAME };
	struct crash_keeping keeping = { .every = 0 };
	size_t i;

	for (i = 0; i < N_ELEMENTS(syncs); i++) {
		kill_before(syncs[i], false);
		(void)crash_must_hold(&keeping, 8);
	}
	crash_forget();
}

static void test_killed_while_removing(void **state ATTR_UNUSED)
{
	struct crash_keeping keeping = { .every = 0 };

	kill_before(CRASH_SYNC_UNLINK_NAME, true);
	(void)crash_must_hold(&keeping, 12);
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
		cmocka_unit_test(test_syncs_that_fail),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_killed_while_removing),
#if TEST_STEP == 1
		cmocka_unit_test(test_every_sync_is_needed),
#endif
	};

	crash_use_memory();
	return cmocka_run_group_tests_name("crash-file-store", tests, NULL,
					   NULL);
}
