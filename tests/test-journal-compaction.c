/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Half empty segments are emptied, and space is given back. */

#include "config.h"
#include "file-ops.h"
#include "io-infrastructure.h"
#include "mem.h"
#include "test-faults.h"
#include "test-journal-common.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Compaction
 */

/* Of all segments, in bytes. */
static uint64_t disk_use(void)
{
	char path[600];
	struct stat st;
	uint64_t used = 0;
	unsigned int i;

	for (i = 1; i < 1000; i++) {
		(void)snprintf(path, sizeof(path), "%s/journal/%08u.seg",
			       test_journal.dir, i);
		if (stat(path, &st) < 0)
			break;
		used += (uint64_t)st.st_blocks * 512;
	}
	return used;
}

#define KEEPS(n) ((n) % 9 == 1)

static void drop_most(struct journal *journal, unsigned int end)
{
	unsigned int n;

	for (n = 0; n < end; n++) {
		if (!KEEPS(n))
			assert_int_equal(test_journal_drop(journal, n), 0);
	}
}

static void must_have_the_rest(struct journal *journal, unsigned int end)
{
	unsigned int n;

	for (n = 0; n < end; n++)
		assert_int_equal(test_journal_has(journal, n), KEEPS(n));
}

static void test_compaction_gives_space_back(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	uint64_t before, moved;
	unsigned int n, files;

	for (n = 0; n < 200; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	drop_most(journal, 200);
	before = disk_use();
	files = test_journal_files_in("journal");
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_true(moved >= 20);
	must_have_the_rest(journal, 200);
	/* the 22 that are left, the active one, two spare ones, and of the others
	   a block each */
	assert_true(before > 20 * TEST_JOURNAL_SEGMENT);
	assert_true(disk_use() <=
		    7 * TEST_JOURNAL_SEGMENT + files * JOURNAL_BLOCK_SIZE);
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_int_equal(moved, 0);
	journal_close(&journal);
	journal = test_journal_open(false);
	must_have_the_rest(journal, 200);
	/* those that were moved can be removed, and stay away */
	assert_int_equal(test_journal_drop(journal, 1), 0);
	assert_int_equal(test_journal_drop(journal, 10), 0);
	/* and what was cut is used again */
	for (n = 200; n < 500; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	assert_true(test_journal_files_in("journal") < files + 300 / 15);
	journal_close(&journal);
	journal = test_journal_open(false);
	for (n = 0; n < 500; n++)
		assert_int_equal(test_journal_has(journal, n),
				 n >= 200 || (KEEPS(n) && n > 10));
	journal_close(&journal);
	assert_int_equal(test_journal_files_in("quarantine"), 0);
	assert_int_equal(test_journal.warnings, 0);
}

static void fill_active(struct journal *journal, unsigned int *n)
{
	while (journal_segment_has_room(journal->active, journal->active->pos,
					JOURNAL_BLOCK_SIZE, 2))
		assert_int_equal(test_journal_store(journal, (*n)++), 0);
}

/* 13: a segment whose blocks were given back waits until there is space for them. */
static void test_no_space_for_blocks_again(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	unsigned int n, first, files;
	uint64_t moved, used;

	for (n = 0; n < 200; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	for (n = 0; n < 200; n++)
		assert_int_equal(test_journal_drop(journal, n), 0);
	assert_int_equal(journal_compact(journal, &moved), 0);
	files = test_journal_files_in("journal");
	/* what has its blocks is used first; then one got them again */
	used = disk_use();
	for (first = n; disk_use() == used;)
		assert_int_equal(test_journal_store(journal, n++), 0);
	fill_active(journal, &n);
	used = disk_use();
	test_faults_begin();
	/* the footer's write comes before */
	test_faults.fail_at[TEST_OP_WRITE] = 2;
	test_faults.fail_errno[TEST_OP_WRITE] = ENOSPC;
	assert_int_equal(test_journal_store(journal, 9999), ENOSPC);
	test_faults_end();
	assert_int_equal(test_journal_files_in("journal"), files);
	assert_true(disk_use() <= used);
	/* and service goes on */
	assert_int_equal(test_journal_store(journal, n++), 0);
	assert_int_equal(test_journal_files_in("journal"), files);
	journal_close(&journal);
	journal = test_journal_open(false);
	for (; first < n; first++)
		assert_true(test_journal_has(journal, first));
	assert_false(test_journal_has(journal, 9999));
	journal_close(&journal);
	assert_int_equal(test_journal.warnings, 0);
}

/* What cannot be read is left where it is, and its segment. */
static void test_compaction_leaves_what_is_damaged(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	uint64_t moved;
	unsigned int n;

	for (n = 0; n < 60; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	drop_most(journal, 60);
	/* the body of message 1 */
	test_journal_flip(2 * JOURNAL_BLOCK_SIZE + JOURNAL_HEADER_SIZE + 8);
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_true(moved > 0);
	for (n = 2; n < 60; n++)
		assert_int_equal(test_journal_has(journal, n), KEEPS(n));
	assert_int_equal(test_journal_files_in("quarantine"), 2);
	journal_close(&journal);
}

static void *read_the_rest(void *journal)
{
	unsigned int i, n;

	for (i = 0; i < 50; i++) {
		for (n = 0; n < 200; n++) {
			if (KEEPS(n) && !test_journal_has(journal, n))
				return journal;
		}
	}
	return NULL;
}

/* Others read and write meanwhile, and nothing comes back. */
static void test_compaction_while_others_work(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	pthread_t reader;
	uint64_t moved;
	void *failed;
	unsigned int n;

	for (n = 0; n < 200; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	drop_most(journal, 200);
	assert_int_equal(pthread_create(&reader, NULL, read_the_rest, journal),
			 0);
	assert_int_equal(journal_compact(journal, &moved), 0);
	for (n = 200; n < 300; n++) {
		assert_int_equal(test_journal_store(journal, n), 0);
		assert_int_equal(test_journal_drop(journal, n), 0);
		assert_int_equal(journal_compact(journal, &moved), 0);
	}
	assert_int_equal(pthread_join(reader, &failed), 0);
	assert_null(failed);
	journal_close(&journal);
	journal = test_journal_open(false);
	must_have_the_rest(journal, 200);
	for (n = 200; n < 300; n++)
		assert_false(test_journal_has(journal, n));
	journal_close(&journal);
}

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	unsigned int cuts;
} upkeep = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 };

static int counting_ftruncate(int fd, off_t size)
{
	int ret = file_ops_system.ftruncate(fd, size);

	(void)pthread_mutex_lock(&upkeep.mutex);
	upkeep.cuts++;
	(void)pthread_cond_broadcast(&upkeep.changed);
	(void)pthread_mutex_unlock(&upkeep.mutex);
	return ret;
}

/* Nobody has to ask for it. */
static void test_the_upkeep_works_by_itself(void **state ATTR_UNUSED)
{
	struct journal_settings settings = {
		.segment_size = TEST_JOURNAL_SEGMENT, .upkeep = true
	};
	struct file_ops ops = file_ops_system;
	struct journal *journal;
	char *error;
	unsigned int n;

	test_journal_new_dir();
	ops.ftruncate = counting_ftruncate;
	file_ops_set(&ops);
	upkeep.cuts = 0;
	journal = journal_open(test_journal.dir_fd, test_journal.dir, &settings,
			       &error);
	assert_non_null(journal);
	for (n = 0; n < 300; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	drop_most(journal, 300);
	(void)pthread_mutex_lock(&upkeep.mutex);
	while (upkeep.cuts < 5)
		(void)pthread_cond_wait(&upkeep.changed, &upkeep.mutex);
	(void)pthread_mutex_unlock(&upkeep.mutex);
	must_have_the_rest(journal, 300);
	journal_close(&journal);
	file_ops_set(NULL);
	journal = test_journal_open(false);
	must_have_the_rest(journal, 300);
	journal_close(&journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compaction_gives_space_back),
		cmocka_unit_test(test_no_space_for_blocks_again),
		cmocka_unit_test(test_compaction_leaves_what_is_damaged),
		cmocka_unit_test(test_compaction_while_others_work),
		cmocka_unit_test(test_the_upkeep_works_by_itself),
	};

	return cmocka_run_group_tests_name("journal-compaction", tests, NULL,
					   NULL);
}
