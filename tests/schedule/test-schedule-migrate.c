/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Migrations in one order after the other: each message is told of once and is in the other
   spool then, in some that are stopped and gone on with as well. */

#include "config.h"
#include "schedule.h"
#include "spool.h"
#include "test-migrate-common.h"

#define MESSAGES 24u

struct scene {
	const struct test_direction *direction;
	unsigned int flags;
	/* the callback's first answers are true; 0: all of them */
	unsigned int stop_after;
};

static message_id ids[MESSAGES];
static unsigned int told[MESSAGES], count;
static const struct scene *scene;

static bool note(const struct spool_migrated *what, void *context ATTR_UNUSED)
{
	unsigned int i;

	if (what->problem != NULL)
		schedule_fail("%s", what->problem);
	for (i = 0; i < MESSAGES; i++) {
		if (message_id_cmp(&what->id, &ids[i]) == 0)
			told[i]++;
	}
	return ++count != scene->stop_after;
}

static void migrate(const struct test_pair *pair)
{
	char *error;

	count = 0;
	if (spool_migrate(pair->from, pair->to, scene->flags, note, NULL,
			  &error) < 0)
		schedule_fail("%s", error);
}

static void run_scene(uint32_t number, void *context)
{
	static const char wire[] = TEST_SPOOL_WIRE;
	bool keeps;
	struct test_pair pair;
	unsigned int i;

	scene = context;
	keeps = (scene->flags & SPOOL_MIGRATE_KEEP) != 0;
	memset(told, 0, sizeof(told));
	schedule_begin(number);
	test_pair_new(scene->direction, &pair);
	for (i = 0; i < MESSAGES; i++)
		test_put_full(pair.from, &ids[i]);
	migrate(&pair);
	if (scene->stop_after > 0 && count < MESSAGES)
		migrate(&pair);
	for (i = 0; i < MESSAGES; i++) {
		if (told[i] != 1)
			schedule_fail("message %u was told of %u times", i,
				      told[i]);
		test_spool_must_have(pair.to, &ids[i], wire, sizeof(wire) - 1);
	}
	test_must_have_whole(pair.from, keeps ? MESSAGES : 0);
	test_must_have_whole(pair.to, MESSAGES);
	test_pair_close(&pair);
	schedule_end();
}

static void run_directions(unsigned int flags, unsigned int stop_after)
{
	struct scene one = { .flags = flags, .stop_after = stop_after };
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(test_directions); i++) {
		one.direction = &test_directions[i];
		schedule_each(16, run_scene, &one);
	}
}

static void test_all_are_moved(void **state ATTR_UNUSED)
{
	run_directions(0, 0);
	run_directions(SPOOL_MIGRATE_KEEP, 0);
}

static void test_stopped(void **state ATTR_UNUSED)
{
	run_directions(0, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_are_moved),
		cmocka_unit_test(test_stopped),
	};

	return cmocka_run_group_tests_name("schedule-migrate", tests,
					   test_spool_setup,
					   test_spool_teardown);
}
