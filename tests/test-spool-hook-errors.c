/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The error of a call is that of its answer, whatever modules ask of the spool, and are told,
   meanwhile. */

#include "config.h"
#include "test-spool-common.h"

#include <errno.h>

static const char wire[] = TEST_SPOOL_WIRE;

/* What the module's hooks are to do: a call that fails with EEXIST. */
static message_id there;
static bool busy;
static unsigned int unlinked;

static void put_again(io_infrastructure *io)
{
	if (busy)
		return;
	busy = true;
	assert_int_equal(test_spool_put_as(io->shared.spool, wire,
					   sizeof(wire) - 1, &there),
			 IO_FAIL);
	assert_int_equal(io_get_errno(), EEXIST);
	busy = false;
}

static int put_again_and_go_on(io_infrastructure *io,
			       io_caller caller ATTR_UNUSED,
			       email_message *message ATTR_UNUSED,
			       int force ATTR_UNUSED)
{
	put_again(io);
	return IO_CONT;
}

static int count_unlink(io_infrastructure *io ATTR_UNUSED,
			io_caller caller ATTR_UNUSED,
			message_id *id ATTR_UNUSED)
{
	unlinked++;
	return IO_CONT;
}

/* Says nothing. */
static int say_nothing(io_infrastructure *io ATTR_UNUSED,
		       io_caller caller ATTR_UNUSED,
		       email_message *message ATTR_UNUSED,
		       int force ATTR_UNUSED)
{
	return busy ? IO_CONT : IO_FAIL;
}

static void read_after(io_infrastructure *io,
		       enum io_operation operation ATTR_UNUSED,
		       const message_id *id ATTR_UNUSED,
		       uint64_t version ATTR_UNUSED, int result ATTR_UNUSED)
{
	email_message *message;

	if (busy)
		return;
	busy = true;
	assert_int_equal(spool_get(io->shared.spool, &there, &message),
			 IO_DONE);
	email_message_unref(&message);
	busy = false;
}

static void fail_after(io_infrastructure *io,
		       enum io_operation operation ATTR_UNUSED,
		       const message_id *id ATTR_UNUSED,
		       uint64_t version ATTR_UNUSED, int result ATTR_UNUSED)
{
	put_again(io);
}

static const shared_module_infrastructure shared =
	SPOOL_MODULE_SHARED("hooked", "", "");

/* A spool that has the message already, behind these. */
static struct spool *open_behind(io_infrastructure *modules, unsigned int count)
{
	struct spool *spool = test_spool_new("");
	void (*after)(io_infrastructure *, enum io_operation,
		      const message_id *, uint64_t, int);
	unsigned int i;
	char *error;

	unlinked = 0;
	test_spool_put_many(spool, &there, 1);
	spool_close(&spool);
	spool = test_spool_open(0);
	for (i = 0; i < count; i++) {
		after = modules[i].shared.after;
		modules[i].shared = shared;
		modules[i].shared.after = after;
		assert_int_equal(
			spool_add_module(spool, &modules[i], NULL, &error), 0);
	}
	return spool;
}

static void must_be_well(void)
{
	assert_string_equal(io_get_error(), "");
	assert_int_equal(io_get_errno(), 0);
}

static void test_what_goes_well_has_no_error(void **state ATTR_UNUSED)
{
	io_infrastructure modules[] = { { .io_writebody = put_again_and_go_on,
					  .io_writeheaders =
						  put_again_and_go_on },
					{ .shared.after = fail_after } };
	struct spool *spool = open_behind(modules, 2);
	message_id id;

	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	must_be_well();
	assert_int_equal(spool_remove(spool, &id), IO_DONE);
	must_be_well();
	/* what is not there has nothing to say either */
	assert_int_equal(spool_unlinkheaders(spool, IO_SYNCHRONOUS, &id),
			 IO_DONE);
	must_be_well();
	spool_close(&spool);
}

/* It is not that of a module before, nor of what is there already, which would keep the
   others from being told. */
static void test_a_module_that_says_nothing(void **state ATTR_UNUSED)
{
	io_infrastructure modules[] = { { .io_writebody = put_again_and_go_on,
					  .io_unlinkbody = count_unlink },
					{ .io_writebody = say_nothing } };
	struct spool *spool = open_behind(modules, 2);
	message_id id;

	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_FAIL);
	assert_string_equal(io_get_error(),
			    "module hooked: io_writebody failed");
	assert_int_equal(io_get_errno(), 0);
	assert_int_equal(unlinked, 1);
	spool_close(&spool);
}

/* after() reads a message, which goes well: the refused one's error stays, and with it what
   follows from it. */
static void test_after_asks_the_spool(void **state ATTR_UNUSED)
{
	io_infrastructure modules[] = { { .shared.after = read_after,
					  .io_unlinkheaders = count_unlink,
					  .io_unlinkbody = count_unlink } };
	struct spool *spool = open_behind(modules, 1);

	assert_int_equal(test_spool_put_as(spool, wire, sizeof(wire) - 1,
					   &there),
			 IO_FAIL);
	assert_int_equal(io_get_errno(), EEXIST);
	assert_string_not_equal(io_get_error(), "");
	assert_int_equal(unlinked, 0);
	spool_close(&spool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_goes_well_has_no_error),
		cmocka_unit_test(test_a_module_that_says_nothing),
		cmocka_unit_test(test_after_asks_the_spool),
	};

	return cmocka_run_group_tests_name("spool-hook-errors", tests,
					   test_spool_setup,
					   test_spool_teardown);
}
