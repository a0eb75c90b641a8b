/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* In which order segments are read ahead, and how many. */

#include "config.h"
#include "file-ops.h"
#include "journal/journal-scan.h"
#include "mem.h"
#include "test-journal-common.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>

/* As many as are read ahead, besides the last one; and more segments than that. */
#define AHEAD 8u
#define SEGMENTS 20u

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	int fds[SEGMENTS];
	unsigned int begun; /* of all but the last one */
	bool last_begun;
} reads = { .mutex = PTHREAD_MUTEX_INITIALIZER,
	    .changed = PTHREAD_COND_INITIALIZER };

/* With the mutex: until that is so, or the test has failed. */
static void wait_for(bool (*is_so)(void))
{
	struct timespec deadline;

	(void)clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += 60;
	while (!is_so() &&
	       pthread_cond_timedwait(&reads.changed, &reads.mutex,
				      &deadline) == 0)
		;
}

static bool all_others_have_begun(void)
{
	return reads.begun >= AHEAD;
}

static bool last_has_begun(void)
{
	return reads.last_begun;
}

/* The last one is held until as many of the others are read as may be, and these until the
   last one has begun. */
static ssize_t held_pread(int fd, void *data, size_t size, off_t offset)
{
	if (offset == TEST_JOURNAL_SEGMENT - 64) {
		(void)pthread_mutex_lock(&reads.mutex);
		if (fd == reads.fds[SEGMENTS - 1])
			reads.last_begun = true;
		else
			reads.begun++;
		(void)pthread_cond_broadcast(&reads.changed);
		wait_for(fd == reads.fds[SEGMENTS - 1] ? all_others_have_begun :
							 last_has_begun);
		(void)pthread_mutex_unlock(&reads.mutex);
	}
	return file_ops_system.pread(fd, data, size, offset);
}

/* The first of its messages, by what is handed out. */
static uint64_t first_pos(const struct journal_content *content)
{
	struct journal_listed listed;
	size_t pos = 0;

	if (!content->from_footer)
		return content->items.items[0].pos;
	assert_true(journal_entries_next(&content->entries, &pos, &listed));
	return (uint64_t)listed.body * JOURNAL_ALIGN;
}

static void must_be_of(const struct journal_segment *segment,
		       struct journal_content *content)
{
	struct journal_items items;
	struct journal_listed listed;
	size_t pos = 0;

	int ret = journal_footer_read(segment, &items);

	assert_int_equal(content->from_footer, ret > 0);
	if (ret == 0)
		assert_int_equal(journal_scan(segment, &items), 0);
	assert_int_equal(first_pos(content), items.items[0].pos);
	if (content->from_footer) {
		assert_true(
			journal_entries_next(&content->entries, &pos, &listed));
		assert_int_equal(message_id_cmp(&listed.header.id,
						&items.items[0].header.id),
				 0);
	}
	journal_items_free(&items);
	journal_content_free(content);
}

/* Those that have records. */
static unsigned int find_segments(const struct journal *journal,
				  struct journal_segment **segments)
{
	unsigned int count = 0;
	uint32_t i;

	for (i = 1; i < journal->segment_end && count < SEGMENTS; i++) {
		if (journal->segments[i] != NULL &&
		    !journal->segments[i]->blank)
			segments[count++] = journal->segments[i];
	}
	return count;
}

static struct journal *begin(struct journal_segment **segments)
{
	struct journal *journal = test_journal_new();
	unsigned int n = 0, i;

	reads.begun = 0;
	reads.last_begun = false;
	while (find_segments(journal, segments) < SEGMENTS)
		assert_int_equal(test_journal_store(journal, n++), 0);
	for (i = 0; i < SEGMENTS; i++)
		reads.fds[i] = journal_file_hold(segments[i]->file);
	return journal;
}

static void end(struct journal *journal, struct journal_segment **segments)
{
	unsigned int i;

	for (i = 0; i < SEGMENTS; i++)
		journal_file_let_go(segments[i]->file);
	journal_close(&journal);
}

static void test_the_last_one_comes_first(void **state ATTR_UNUSED)
{
	struct journal_segment *segments[SEGMENTS];
	struct journal *journal = begin(segments);
	struct file_ops ops = file_ops_system;
	struct journal_content content;
	struct journal_ahead *ahead;
	unsigned int i;

	ops.pread = held_pread;
	file_ops_set(&ops);
	ahead = journal_ahead_start(segments, SEGMENTS);
	assert_non_null(ahead);
	(void)pthread_mutex_lock(&reads.mutex);
	wait_for(all_others_have_begun);
	assert_true(reads.last_begun);
	/* what nobody has taken has a bound */
	assert_int_equal(reads.begun, AHEAD);
	(void)pthread_mutex_unlock(&reads.mutex);
	for (i = 0; i < SEGMENTS; i++) {
		assert_int_equal(journal_ahead_next(ahead, &content), 0);
		must_be_of(segments[i], &content);
	}
	journal_ahead_stop(&ahead);
	file_ops_set(NULL);
	end(journal, segments);
}

/* What was read in vain is given back, also of the last one. */
static void test_stopping(void **state ATTR_UNUSED)
{
	struct journal_segment *segments[SEGMENTS];
	struct journal *journal = begin(segments);
	struct journal_content content;
	struct journal_ahead *ahead;
	unsigned int i, taken;

	for (taken = 0; taken < 3; taken++) {
		ahead = journal_ahead_start(segments, taken + 1);
		assert_non_null(ahead);
		for (i = 0; i < taken; i++) {
			assert_int_equal(journal_ahead_next(ahead, &content),
					 0);
			must_be_of(segments[i], &content);
		}
		journal_ahead_stop(&ahead);
		assert_null(ahead);
	}
	end(journal, segments);
}

/* Those that may read no more ahead wait for who takes it; they end, too, where nobody does. */
static void test_stopping_those_that_wait(void **state ATTR_UNUSED)
{
	struct journal_segment *segments[SEGMENTS];
	struct journal *journal = begin(segments);
	struct file_ops ops = file_ops_system;
	struct journal_ahead *ahead;
	unsigned int i;

	ops.pread = held_pread;
	file_ops_set(&ops);
	ahead = journal_ahead_start(segments, SEGMENTS);
	assert_non_null(ahead);
	(void)pthread_mutex_lock(&reads.mutex);
	wait_for(all_others_have_begun);
	(void)pthread_mutex_unlock(&reads.mutex);
	/* as far as they get */
	for (i = 0; i < 1000; i++)
		(void)sched_yield();
	journal_ahead_stop(&ahead);
	assert_null(ahead);
	file_ops_set(NULL);
	end(journal, segments);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_last_one_comes_first),
		cmocka_unit_test(test_stopping),
		cmocka_unit_test(test_stopping_those_that_wait),
	};

	return cmocka_run_group_tests_name("journal-ahead", tests, NULL, NULL);
}
