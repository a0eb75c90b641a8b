/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What footers list comes into the index by parts of it, at once; of one message in order. */

#include "config.h"
#include "journal/journal-scan.h"
#include "macros.h"
#include "mem.h"
#include "test-journal-disk.h"
#include "test-mem-faults.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* Segments that may wait. */
#define WAITING 8u

/* A journal with so many full segments. */
static struct journal *begin_with(unsigned int full)
{
	struct journal *journal = test_journal_new();
	unsigned int n = 0;

	while (test_journal_active(journal) <= full)
		assert_int_equal(test_journal_store(journal, n++), 0);
	return journal;
}

static struct journal *begin(void)
{
	return begin_with(1);
}

/* As before anything of it was read. */
static void empty_index(struct journal *journal)
{
	journal_index_deinit(&journal->index);
	journal_index_init(&journal->index);
}

static void read_segment(struct journal *journal, uint32_t number,
			 struct journal_content *content)
{
	assert_int_equal(
		journal_content_read(journal->segments[number], content), 0);
	assert_true(content->from_footer);
}

static void read_content(struct journal *journal,
			 struct journal_content *content)
{
	read_segment(journal, 1, content);
}

static unsigned int part_of(const struct journal_listed *listed)
{
	return journal_index_part(&listed->header.id, 2);
}

static bool is_in(struct journal *journal, const struct journal_listed *listed)
{
	struct journal_entry entry;

	return journal_index_find(&journal->index, &listed->header.id, &entry);
}

/* The first entry, and the first one that is of another part, however many there are. */
static void find_two(const struct journal_content *content,
		     struct journal_listed *first, struct journal_listed *other)
{
	size_t pos = 0;

	memset(first, 0, sizeof(*first));
	memset(other, 0, sizeof(*other));
	assert_true(journal_entries_next(&content->entries, &pos, first));
	do {
		assert_true(
			journal_entries_next(&content->entries, &pos, other));
	} while (part_of(other) == part_of(first));
}

static time_t deadline(void)
{
	return time(NULL) + 60;
}

struct adder {
	struct journal *journal;
	struct journal_parts *parts;
	atomic_uint added;
	/* of the first segment */
	struct journal_content content;
	struct journal_listed first, other;
};

/* With the index as before anything was read. */
static void begin_adder(struct adder *adder, unsigned int full)
{
	memset(adder, 0, sizeof(*adder));
	adder->journal = begin_with(full);
	adder->parts = journal_parts_start(adder->journal);
	assert_non_null(adder->parts);
	read_content(adder->journal, &adder->content);
	find_two(&adder->content, &adder->first, &adder->other);
	empty_index(adder->journal);
	/* so that mutexes are taken, which one can hold */
	journal_index_is_open(&adder->journal->index);
}

/* Who wants to have that message into the index waits. */
static pthread_mutex_t *hold(struct adder *adder,
			     const struct journal_listed *listed)
{
	pthread_mutex_t *mutex =
		&adder->journal->index.shards[listed->header.id.bytes[15]]
			 .mutex;

	(void)pthread_mutex_lock(mutex);
	return mutex;
}

static void end_adder(struct adder *adder)
{
	journal_content_free(&adder->content);
	journal_parts_stop(&adder->parts);
	assert_null(adder->parts);
	journal_close(&adder->journal);
}

/* Who cannot go on with one part goes on with the others. */
static void test_parts_are_applied_at_once(void **state ATTR_UNUSED)
{
	time_t end = deadline();
	pthread_mutex_t *held;
	struct adder adder;

	begin_adder(&adder, 1);
	held = hold(&adder, &adder.first);
	assert_true(journal_parts_replay(adder.parts,
					 adder.journal->segments[1],
					 &adder.content, false));
	assert_null(adder.content.entries.bytes);
	while (!is_in(adder.journal, &adder.other) && time(NULL) < end)
		(void)sched_yield();
	assert_true(is_in(adder.journal, &adder.other));
	(void)pthread_mutex_unlock(held);
	assert_true(journal_parts_wait(adder.parts));
	assert_true(is_in(adder.journal, &adder.first));
	end_adder(&adder);
}

static void *add_many(void *context)
{
	struct adder *adder = context;
	struct journal_content content;
	uint32_t i;

	for (i = 1; i <= 2 * WAITING; i++) {
		read_segment(adder->journal, i, &content);
		assert_true(journal_parts_replay(adder->parts,
						 adder->journal->segments[i],
						 &content, false));
		atomic_fetch_add(&adder->added, 1);
	}
	return NULL;
}

/* What was read of segments, and is not applied, has a bound. */
static void test_few_wait(void **state ATTR_UNUSED)
{
	time_t end = deadline();
	pthread_mutex_t *held;
	struct adder adder;
	pthread_t thread;
	unsigned int i;

	begin_adder(&adder, 2 * WAITING);
	held = hold(&adder, &adder.first);
	assert_int_equal(pthread_create(&thread, NULL, add_many, &adder), 0);
	while (atomic_load(&adder.added) < WAITING && time(NULL) < end)
		(void)sched_yield();
	for (i = 0; i < 1000; i++)
		(void)sched_yield();
	assert_int_equal(atomic_load(&adder.added), WAITING);
	(void)pthread_mutex_unlock(held);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(journal_parts_wait(adder.parts));
	end_adder(&adder);
}

/* The last entry. */
static void find_last(const struct journal_content *content,
		      struct journal_listed *last)
{
	size_t pos = 0;

	memset(last, 0, sizeof(*last));
	while (journal_entries_next(&content->entries, &pos, last))
		;
}

static uint64_t version_of(struct journal *journal,
			   const struct journal_listed *listed)
{
	struct journal_entry entry;

	return journal_index_find(&journal->index, &listed->header.id, &entry) ?
		entry.version :
		0;
}

static void *add_records(void *context)
{
	struct adder *adder = context;
	struct journal_content records;
	size_t i;

	/* the same segment once more, with newer versions */
	memset(&records, 0, sizeof(records));
	assert_int_equal(
		journal_scan(adder->journal->segments[1], &records.items), 0);
	for (i = 0; i < records.items.count; i++)
		records.items.items[i].header.version++;
	assert_true(journal_parts_replay(
		adder->parts, adder->journal->segments[1], &records, false));
	journal_content_free(&records);
	return NULL;
}

/* What is read record by record may be of any part: it comes when all before it is there. */
static void test_records_wait_for_entries(void **state ATTR_UNUSED)
{
	struct journal_listed seen, last;
	time_t end = deadline();
	pthread_mutex_t *held;
	struct adder adder;
	pthread_t thread;
	unsigned int i;

	begin_adder(&adder, 1);
	find_last(&adder.content, &last);
	seen = part_of(&adder.first) == part_of(&last) ? adder.other :
							 adder.first;
	held = hold(&adder, &last);
	assert_true(journal_parts_replay(adder.parts,
					 adder.journal->segments[1],
					 &adder.content, false));
	while (!is_in(adder.journal, &seen) && time(NULL) < end)
		(void)sched_yield();
	assert_int_equal(pthread_create(&thread, NULL, add_records, &adder), 0);
	for (i = 0; i < 5000; i++)
		(void)sched_yield();
	assert_int_equal(version_of(adder.journal, &seen), 1);
	(void)pthread_mutex_unlock(held);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(version_of(adder.journal, &seen), 2);
	assert_int_equal(version_of(adder.journal, &last), 2);
	end_adder(&adder);
}

/* As what was there is counted, however it comes. */
static void test_counts(void **state ATTR_UNUSED)
{
	struct journal *journal = begin();
	struct journal_segment *segment = journal->segments[1];
	struct journal_content content;
	struct journal_parts *parts;
	uint64_t live = segment->live, messages = journal->messages;
	uint64_t total = segment->total;
	unsigned int round;

	/* in the first round each one is new; in the second it takes its own place */
	for (round = 0; round < 2; round++) {
		if (round == 0) {
			empty_index(journal);
			segment->live = segment->total = 0;
			journal->messages -= live / 2;
		}
		parts = journal_parts_start(journal);
		read_content(journal, &content);
		assert_true(
			journal_parts_replay(parts, segment, &content, false));
		assert_true(journal_parts_wait(parts));
		journal_parts_stop(&parts);
		assert_int_equal(segment->live, live);
		assert_int_equal(segment->total, total * (round + 1));
		assert_int_equal(journal->messages, messages);
	}
	journal_close(&journal);
}

/* What is gone, or was written again, in the same segment: it was counted before. */
static void test_counts_of_what_was_overruled(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	struct journal_segment *segment;
	struct journal_content content;
	struct journal_parts *parts;
	struct journal_entry entry;
	uint64_t messages = 0;
	unsigned int n, i;
	message_id id;

	for (n = 0; test_journal_active(journal) < 2; n++) {
		assert_int_equal(test_journal_store(journal, n), 0);
		if (n % 3 == 1)
			assert_int_equal(test_journal_drop(journal, n), 0);
	}
	segment = journal->segments[1];
	read_content(journal, &content);
	empty_index(journal);
	segment->live = segment->total = 0;
	journal->messages = 0;
	parts = journal_parts_start(journal);
	assert_true(journal_parts_replay(parts, segment, &content, false));
	assert_true(journal_parts_wait(parts));
	journal_parts_stop(&parts);
	for (i = 0; i < n; i++) {
		test_journal_make_id(i, &id);
		if (journal_index_find(&journal->index, &id, &entry))
			messages++;
	}
	assert_in_range(messages, 3, n - 3);
	assert_int_equal(journal->messages, messages);
	assert_int_equal(segment->live, 2 * messages);
	journal_close(&journal);
}

/* Nothing is lost of what was added when it ends at once. */
static void test_stopping_ends_with_all(void **state ATTR_UNUSED)
{
	struct adder adder;

	begin_adder(&adder, 1);
	assert_true(journal_parts_replay(adder.parts,
					 adder.journal->segments[1],
					 &adder.content, false));
	journal_parts_stop(&adder.parts);
	assert_true(is_in(adder.journal, &adder.first));
	assert_true(is_in(adder.journal, &adder.other));
	end_adder(&adder);
}

static void test_without_threads(void **state ATTR_UNUSED)
{
	struct journal *journal = begin();
	struct journal_content content;
	struct journal_listed first, other;
	struct journal_parts *parts;

	read_content(journal, &content);
	find_two(&content, &first, &other);
	empty_index(journal);
	if (test_threads_fail()) {
		parts = journal_parts_start(journal);
		assert_non_null(parts);
		test_threads_again();
		assert_true(journal_parts_replay(parts, journal->segments[1],
						 &content, false));
		assert_true(is_in(journal, &first));
		assert_true(is_in(journal, &other));
		assert_true(journal_parts_wait(parts));
		journal_parts_stop(&parts);
	}
	journal_content_free(&content);
	journal_close(&journal);
}

/* A message that is left out would be lost: whoever waits is told, and what comes behind
   it. */
static void test_no_memory(void **state ATTR_UNUSED)
{
	struct journal *journal = begin();
	struct journal_content content;
	struct journal_parts *parts;
	unsigned int at;
	bool done;

	test_mem_faults_begin(1, false);
	assert_null(journal_parts_start(journal));
	(void)test_mem_faults_end();
	for (at = 1;; at++) {
		empty_index(journal);
		parts = journal_parts_start(journal);
		read_content(journal, &content);
		test_mem_faults_begin(at, false);
		(void)journal_parts_replay(parts, journal->segments[1],
					   &content, false);
		done = journal_parts_wait(parts);
		if (test_mem_faults_end() < at)
			break;
		assert_false(done);
		read_content(journal, &content);
		assert_false(journal_parts_replay(parts, journal->segments[1],
						  &content, false));
		journal_parts_stop(&parts);
	}
	assert_true(done);
	/* each part's list of its own, and what the shards need */
	assert_true(at > 4);
	journal_parts_stop(&parts);
	journal_close(&journal);
}

/* Wherever memory ends: the journal has all, or is not opened. */
static void test_opening_without_memory(void **state ATTR_UNUSED)
{
	const struct journal_settings settings = {
		.segment_size = TEST_JOURNAL_SEGMENT,
		.warning = test_journal_count_warning,
	};
	struct journal *journal = test_journal_new();
	unsigned int count = 0, n, at, calls = 1, failed = 0;
	char *error;

	while (test_journal_active(journal) < 6)
		assert_int_equal(test_journal_store(journal, count++), 0);
	journal_close(&journal);
	/* so that the last one has a footer, as when it was just full */
	assert_int_equal(unlink(test_journal_segment(6)), 0);
	count--;
	for (at = 1; calls >= at - 1; at++) {
		test_mem_faults_begin(at, false);
		journal = journal_open(test_journal.dir_fd, test_journal.dir,
				       &settings, &error);
		calls = test_mem_faults_end();
		if (journal == NULL) {
			assert_int_equal(errno, ENOMEM);
			free(error);
			failed++;
			continue;
		}
		for (n = 0; n < count; n++)
			assert_true(test_journal_has(journal, n));
		journal_close(&journal);
	}
	assert_true(failed > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts_are_applied_at_once),
		cmocka_unit_test(test_few_wait),
		cmocka_unit_test(test_records_wait_for_entries),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_counts_of_what_was_overruled),
		cmocka_unit_test(test_stopping_ends_with_all),
		cmocka_unit_test(test_without_threads),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_opening_without_memory),
	};

	return cmocka_run_group_tests_name("journal-parts", tests, NULL, NULL);
}
