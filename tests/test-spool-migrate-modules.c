/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Modules before the stores of messages that move. */

#include "config.h"
#include "istream.h"
#include "spool-modules.h"
#include "test-migrate-common.h"

#include <errno.h>

static const char wire[] = TEST_SPOOL_WIRE;

static _Atomic unsigned int skipped;

static int note_force(io_infrastructure *io ATTR_UNUSED,
		      io_caller caller ATTR_UNUSED,
		      email_message *message ATTR_UNUSED, int force)
{
	if (force == 0)
		skipped++;
	return IO_CONT;
}

/* A message leaves its spool: no module over there may skip it. */
static void test_modules_must_take_it(void **state ATTR_UNUSED)
{
	static io_infrastructure noting = { .shared = SPOOL_MODULE_SHARED(
						    "noting", "", ""),
					    .io_writebody = note_force,
					    .io_writeheaders = note_force };
	struct test_told told;
	struct test_pair pair;
	message_id id;
	char *error;

	test_pair_new(&test_directions[0], &pair);
	assert_int_equal(spool_add_module(pair.to, &noting, "", &error), 0);
	test_put_full(pair.from, &id);
	skipped = 0;
	told = test_migrate(&pair, 0);
	assert_int_equal(told.count, 1);
	assert_int_equal(told.problems, 0);
	assert_int_equal(skipped, 0);
	test_pair_close(&pair);
}

static int fail_without_reason(io_infrastructure *io ATTR_UNUSED,
			       io_caller caller ATTR_UNUSED,
			       email_message *message ATTR_UNUSED)
{
	errno = 0;
	return IO_FAIL;
}

/* What is told of a message that such a module hands out. */
static struct test_told migrate_through(io_infrastructure *module)
{
	struct test_told told;
	struct test_pair pair;
	message_id id;
	char *error;

	test_pair_new(&test_directions[0], &pair);
	test_put_full(pair.from, &id);
	(void)test_open_again(&pair.from, pair.from_dir);
	assert_int_equal(spool_add_module(pair.from, module, "", &error), 0);
	told = test_migrate(&pair, 0);
	assert_int_equal(told.problems, 1);
	test_pair_close(&pair);
	return told;
}

/* A problem has an errno, also where a module gave none. */
static void test_a_failure_without_a_reason(void **state ATTR_UNUSED)
{
	static io_infrastructure failing = {
		.shared = SPOOL_MODULE_SHARED("failing", "", ""),
		.io_readheaders = fail_without_reason
	};

	assert_true(migrate_through(&failing).error != 0);
}

static unsigned int unlinks;

static int go_on_with_write(io_infrastructure *io ATTR_UNUSED,
			    io_caller caller ATTR_UNUSED,
			    email_message *message ATTR_UNUSED,
			    int force ATTR_UNUSED)
{
	return IO_CONT;
}

static int count_unlink(io_infrastructure *io ATTR_UNUSED,
			io_caller caller ATTR_UNUSED,
			message_id *id ATTR_UNUSED)
{
	unlinks++;
	return IO_CONT;
}

/* What a module has of a message that is stored it is not told to forget: not by a migration
   that goes on, nor by a put of another message of that id. */
static void test_modules_keep_what_is_stored(void **state ATTR_UNUSED)
{
	static io_infrastructure copying = {
		.shared = SPOOL_MODULE_SHARED("copying", "", ""),
		.io_writebody = go_on_with_write,
		.io_writeheaders = go_on_with_write,
		.io_unlinkheaders = count_unlink,
		.io_unlinkbody = count_unlink
	};
	message_id id;
	struct test_told told;
	struct test_pair pair;
	char *error;
	size_t i;

	for (i = 0; i < N_ELEMENTS(test_directions); i++) {
		test_pair_new(&test_directions[i], &pair);
		assert_int_equal(
			spool_add_module(pair.to, &copying, "", &error), 0);
		test_put_full(pair.from, &id);
		(void)test_migrate(&pair, SPOOL_MIGRATE_KEEP);
		unlinks = 0;
		told = test_migrate(&pair, 0);
		assert_int_equal(told.were_there, 1);
		assert_int_equal(told.problems, 0);
		assert_int_equal(test_spool_put_as(pair.to, wire,
						   sizeof(wire) - 1, &id),
				 IO_FAIL);
		assert_int_equal(io_get_errno(), EEXIST);
		assert_int_equal(unlinks, 0);
		test_pair_close(&pair);
	}
}

/* Whose message has a body of another length than it says. */
static int give_short_body(io_infrastructure *io ATTR_UNUSED,
			   io_caller caller ATTR_UNUSED, email_message *message)
{
	struct istream *body = i_stream_create_from_data(".\r\n", 3);

	email_message_set_body(message, body, sizeof(wire) - 1);
	i_stream_unref(&body);
	return IO_DONE;
}

/* They are the same, but both have lost their ends. */
static void test_short_bodies_in_both_are_left(void **state ATTR_UNUSED)
{
	static io_infrastructure cutting[] = {
		{ .shared = SPOOL_MODULE_SHARED("cutting", "", ""),
		  .io_readbody = give_short_body },
		{ .shared = SPOOL_MODULE_SHARED("cutting", "", ""),
		  .io_readbody = give_short_body }
	};
	struct test_told told;
	struct test_pair pair;
	message_id id;
	char *error;

	test_pair_new(&test_directions[0], &pair);
	test_put_full(pair.from, &id);
	(void)test_migrate(&pair, SPOOL_MIGRATE_KEEP);
	(void)test_open_again(&pair.from, pair.from_dir);
	(void)test_open_again(&pair.to, pair.to_dir);
	assert_int_equal(spool_add_module(pair.from, &cutting[0], "", &error),
			 0);
	assert_int_equal(spool_add_module(pair.to, &cutting[1], "", &error), 0);
	told = test_migrate(&pair, 0);
	assert_int_equal(told.problems, 1);
	assert_int_equal(told.error, EINVAL);
	assert_int_equal(test_spool_scan(pair.from), 1);
	test_pair_close(&pair);
}

static int give_no_version(io_infrastructure *io ATTR_UNUSED,
			   io_caller caller ATTR_UNUSED, email_message *message)
{
	email_message_clear(message);
	return IO_DONE;
}

/* What was never written has no version that the other spool could go on with. */
static void test_a_message_without_a_version(void **state ATTR_UNUSED)
{
	static io_infrastructure giving = { .shared = SPOOL_MODULE_SHARED(
						    "giving", "", ""),
					    .io_readheaders = give_no_version };
	struct test_told told = migrate_through(&giving);

	assert_int_equal(told.count, 1);
	assert_int_equal(told.error, EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_modules_must_take_it),
		cmocka_unit_test(test_a_failure_without_a_reason),
		cmocka_unit_test(test_modules_keep_what_is_stored),
		cmocka_unit_test(test_short_bodies_in_both_are_left),
		cmocka_unit_test(test_a_message_without_a_version),
	};

	return cmocka_run_group_tests_name("spool-migrate-modules", tests,
					   test_spool_setup,
					   test_spool_teardown);
}
