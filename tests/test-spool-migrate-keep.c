/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Copies out of a spool that is only read: in use, or damaged. */

#include "config.h"
#include "spool-modules.h"
#include "test-migrate-common.h"

#include <errno.h>
#include <string.h>

static const char wire[] = TEST_SPOOL_WIRE;

static void open_read_only(struct test_pair *pair)
{
	char *error;

	pair->from =
		spool_open(pair->from_dir, SPOOL_OPEN_READ_ONLY, NULL, &error);
	if (pair->from == NULL)
		fail_msg("%s", error);
}

static struct {
	struct spool *owner;
	unsigned int calls, removes_at; /* 0: the first one fails */
} remover;

static int remove_it(io_infrastructure *io ATTR_UNUSED,
		     io_caller caller ATTR_UNUSED, email_message *message)
{
	if (++remover.calls == remover.removes_at)
		assert_int_equal(spool_remove(remover.owner,
					      &message->message_id),
				 IO_DONE);
	return remover.calls == 1 && remover.removes_at == 0 ? IO_FAIL :
							       IO_CONT;
}

/* One message of two. */
static struct test_told copy_beside_owner(struct test_pair *pair)
{
	static io_infrastructure removing = { .shared = SPOOL_MODULE_SHARED(
						      "removing", "", ""),
					      .io_readheaders = remove_it,
					      .io_readbody = remove_it };
	struct test_told told;
	message_id ids[2];
	char *error;

	test_put_full(pair->from, &ids[0]);
	test_put_full(pair->from, &ids[1]);
	remover.owner = pair->from;
	remover.calls = 0;
	pair->from =
		spool_open(pair->from_dir, SPOOL_OPEN_READ_ONLY, NULL, &error);
	assert_non_null(pair->from);
	assert_int_equal(spool_add_module(pair->from, &removing, "", &error),
			 0);
	told = test_migrate(pair, SPOOL_MIGRATE_KEEP);
	spool_close(&remover.owner);
	return told;
}

/* Who has the spool open for writing goes on: what it removes is no failure of a copy,
   before the headers are read or between these and the body. */
static void test_removed_while_it_is_copied(void **state ATTR_UNUSED)
{
	struct test_told told;
	struct test_pair pair;
	size_t i;

	if (!test_threads_fail())
		return;
	for (i = 0; i < 3 * N_ELEMENTS(test_directions); i++) {
		if (strcmp(test_directions[i / 3].from, "file") != 0)
			continue; /* a journal's reader knows what there was */
		test_pair_new(&test_directions[i / 3], &pair);
		remover.removes_at = (unsigned int)(i % 3);
		told = copy_beside_owner(&pair);
		assert_int_equal(told.count, i % 3 == 0 ? 2 : 1);
		assert_int_equal(told.problems, i % 3 == 0 ? 1 : 0);
		test_must_have_whole(pair.to, 1);
		test_pair_close(&pair);
	}
	test_threads_again();
}

/* The headers of the first of two messages, a record of a journal that no other one is
   behind in its group: what is lost of them is told, and not that all is well. */
static void test_damage_of_a_journal_is_told(void **state ATTR_UNUSED)
{
	const struct test_direction *direction;
	unsigned char *data;
	struct test_told told;
	struct test_pair pair;
	message_id ids[2];
	buffer_t *file;
	size_t i;

	for (i = 0; i < N_ELEMENTS(test_directions); i++) {
		direction = &test_directions[i];
		if (strcmp(direction->from, "journal") != 0)
			continue;
		pair.to = test_spool_new_of(direction->to, "");
		pair.from = test_spool_new_of(direction->from, "");
		(void)snprintf(pair.from_dir, 512, "%s", test_spool_dir());
		test_put_full(pair.from, &ids[0]);
		test_put_full(pair.from, &ids[1]);
		spool_close(&pair.from);
		file = test_read_file(test_spool_segment(1));
		data = buffer_get_modifiable_data(file, NULL);
		/* the first record of bodies begins there */
		data[4096 + 4] ^= 1;
		test_write_file(test_spool_segment(1), data, file->used);
		buffer_free(&file);
		open_read_only(&pair);
		told = test_migrate(&pair, SPOOL_MIGRATE_KEEP);
		assert_int_equal(told.count - told.problems, 1);
		assert_true(told.problems > 0);
		assert_int_equal(told.error, EINVAL);
		assert_int_equal(told.total, told.count);
		test_must_have_whole(pair.to, 1);
		test_spool_must_have(pair.to, &ids[1], wire, sizeof(wire) - 1);
		test_pair_close(&pair);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_removed_while_it_is_copied),
		cmocka_unit_test(test_damage_of_a_journal_is_told),
	};

	return cmocka_run_group_tests_name("spool-migrate-keep", tests,
					   test_spool_setup,
					   test_spool_teardown);
}
