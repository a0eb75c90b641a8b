/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Asynchronous removals where a full disk has no room for them. */

#include "config.h"
#include "file-ops.h"
#include "test-async-common.h"
#include "test-journal-disk.h"

#include <errno.h>

/* A quarter of it is as small as a segment may be. */
#define SEGMENT (17u * 4 * JOURNAL_BLOCK_SIZE)
#define MANY 200u

static const char wire[] = TEST_SPOOL_WIRE;

static struct {
	struct spool *spool;
	message_id ids[MANY];
	unsigned int count;
} full;

/* As many messages as the disk takes. Nothing is packed by itself. */
static void fill(void)
{
	full.spool = test_spool_new_of("journal", "");
	spool_close(&full.spool);
	assert_int_equal(test_command("sed -i 's/^segment-size.*/segment-size "
				      "= %u/' %s/spool.conf",
				      SEGMENT, test_spool_dir()),
			 0);
	test_disk_install(SEGMENT + SEGMENT / 2);
	full.spool = test_spool_open(0);
	full.count = 0;
	while (test_spool_put(full.spool, wire, sizeof(wire) - 1,
			      &full.ids[full.count]) == IO_DONE)
		full.count++;
	assert_int_equal(io_get_errno(), ENOSPC);
	assert_in_range(full.count, 40, MANY - 1);
}

typedef int submit_t(struct spool_async *async, const message_id *id,
		     spool_answer_t *callback, void *context);

/* One after the other, each a group of its own, until one is not done: how many were. */
static unsigned int remove_each(submit_t *submit, struct test_answer *last_r)
{
	struct spool_async *async = test_async_begin(full.spool, 2, 0);
	unsigned int n;

	for (n = 0; n < full.count; n++) {
		memset(last_r, 0, sizeof(*last_r));
		assert_int_equal(submit(async, &full.ids[n], test_answered,
					last_r),
				 IO_DONE);
		test_wait_answers(n + 1);
		if (last_r->answer != IO_DONE)
			break;
		test_async_must_be_missing(full.spool, &full.ids[n]);
	}
	test_async_end(&async, &full.spool);
	return n;
}

/* They are more than there are blocks for. */
static void test_removals_make_room(void **state ATTR_UNUSED)
{
	struct test_answer last;

	fill();
	assert_int_equal(remove_each(spool_submit_remove, &last), full.count);
	test_must_be(&last, IO_DONE);
}

/* The blocks are gone, whatever is packed. */
static ssize_t write_nothing(int fd ATTR_UNUSED,
			     const struct iovec *iov ATTR_UNUSED,
			     int count ATTR_UNUSED, off_t offset ATTR_UNUSED)
{
	errno = ENOSPC;
	return -1;
}

static void test_removing_ends(void **state ATTR_UNUSED)
{
	struct test_answer answer = { 0 };
	struct spool_async *async;

	fill();
	test_disk.ops.pwritev = write_nothing;
	file_ops_set(&test_disk.ops);
	assert_int_equal(spool_remove(full.spool, &full.ids[0]), IO_TRANS_FAIL);
	assert_int_equal(io_get_errno(), ENOSPC);
	async = test_async_begin(full.spool, 2, 0);
	assert_int_equal(spool_submit_remove(async, &full.ids[0], test_answered,
					     &answer),
			 IO_DONE);
	test_wait_answers(1);
	test_must_be(&answer, IO_TRANS_FAIL);
	assert_int_equal(answer.error, ENOSPC);
	test_async_end(&async, &full.spool);
}

/* By themselves the hooks are answered as it is now. */
static void test_a_hook_makes_no_room(void **state ATTR_UNUSED)
{
	struct test_answer last;

	fill();
	assert_in_range(remove_each(spool_submit_unlinkheaders, &last), 1,
			full.count - 1);
	test_must_be(&last, IO_TRANS_FAIL);
	assert_int_equal(last.error, ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_removals_make_room,
					  test_disk_end),
		cmocka_unit_test_teardown(test_removing_ends, test_disk_end),
		cmocka_unit_test_teardown(test_a_hook_makes_no_room,
					  test_disk_end),
	};

	return cmocka_run_group_tests_name("spool-async-full", tests,
					   test_spool_setup,
					   test_spool_teardown);
}
