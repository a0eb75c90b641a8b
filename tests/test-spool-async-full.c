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

/* One after the other, each a group of its own: more than there are blocks for. */
static void test_removals_make_room(void **state ATTR_UNUSED)
{
	static struct test_answer answers[MANY];
	struct spool_async *async;
	unsigned int n;

	memset(answers, 0, sizeof(answers));
	fill();
	async = test_async_begin(full.spool, 2, 0);
	for (n = 0; n < full.count; n++) {
		assert_int_equal(spool_submit_remove(async, &full.ids[n],
						     test_answered,
						     &answers[n]),
				 IO_DONE);
		test_wait_answers(n + 1);
		test_must_be(&answers[n], IO_DONE);
		test_async_must_be_missing(full.spool, &full.ids[n]);
	}
	test_async_end(&async, &full.spool);
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
	static struct test_answer answers[MANY];
	struct spool_async *async;
	unsigned int n;

	memset(answers, 0, sizeof(answers));
	fill();
	async = test_async_begin(full.spool, 2, 0);
	for (n = 0; n < full.count; n++) {
		assert_int_equal(spool_submit_unlinkheaders(async, &full.ids[n],
							    test_answered,
							    &answers[n]),
				 IO_DONE);
		test_wait_answers(n + 1);
		if (answers[n].answer != IO_DONE)
			break;
	}
	assert_in_range(n, 1, full.count - 1);
	test_must_be(&answers[n], IO_TRANS_FAIL);
	assert_int_equal(answers[n].error, ENOSPC);
	test_async_end(&async, &full.spool);
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
