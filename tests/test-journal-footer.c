/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What a full segment ends in, and what a start makes of it, with several readers. */

#include "config.h"
#include "crc32c.h"
#include "endian-io.h"
#include "file-ops.h"
#include "journal/journal-scan.h"
#include "macros.h"
#include "mem.h"
#include "test-journal-disk.h"
#include "test-mem-faults.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool first_blocks; /* these are waited for; else the entries of footers */
	unsigned int wanted, inside, most;
	uint64_t bytes;
} readers = { .mutex = PTHREAD_MUTEX_INITIALIZER,
	      .changed = PTHREAD_COND_INITIALIZER };

/* Who wants to read such a part of a segment waits for others to want it, too. Alone, it
   would wait for ever: then the test has failed. */
static ssize_t gathering_pread(int fd, void *data, size_t size, off_t offset)
{
	struct timespec deadline;
	ssize_t ret = file_ops_system.pread(fd, data, size, offset);

	(void)pthread_mutex_lock(&readers.mutex);
	readers.bytes += ret > 0 ? (uint64_t)ret : 0;
	if (readers.first_blocks ?
		    offset == 0 :
		    offset + (off_t)size == TEST_JOURNAL_SEGMENT - 64) {
		readers.inside++;
		readers.most = I_MAX(readers.most, readers.inside);
		(void)pthread_cond_broadcast(&readers.changed);
		(void)clock_gettime(CLOCK_REALTIME, &deadline);
		deadline.tv_sec += 60;
		while (readers.most < readers.wanted &&
		       pthread_cond_timedwait(&readers.changed, &readers.mutex,
					      &deadline) == 0)
			;
		readers.inside--;
	}
	(void)pthread_mutex_unlock(&readers.mutex);
	return ret;
}

/* Opens it, with so many readers at once: the bytes that were read. */
static uint64_t open_with_readers(struct journal **journal_r,
				  unsigned int wanted)
{
	struct file_ops ops = file_ops_system;

	readers.wanted = wanted;
	readers.most = readers.inside = 0;
	readers.bytes = 0;
	ops.pread = gathering_pread;
	file_ops_set(&ops);
	*journal_r = test_journal_open(false);
	file_ops_set(NULL);
	assert_true(readers.most >= wanted);
	return readers.bytes;
}

#define FILLED 100

/* Some segments with messages, rewrites and tombstones. */
static void fill_segments(void)
{
	struct journal *journal = test_journal_new();
	unsigned int n;

	for (n = 0; n < FILLED; n++) {
		assert_int_equal(test_journal_store(journal, n), 0);
		if (n % 5 == 4)
			assert_int_equal(test_journal_drop(journal, n - 2), 0);
	}
	assert_true(test_journal_files_in("journal") > 6);
	journal_close(&journal);
}

static void must_be_filled(struct journal *journal)
{
	unsigned int n;

	for (n = 0; n < FILLED; n++)
		assert_int_equal(test_journal_has(journal, n), n % 5 != 2);
}

/* 21: several readers give the same set as one. */
static void test_segments_are_read_at_once(void **state ATTR_UNUSED)
{
	struct journal *journal;
	unsigned int i;

	fill_segments();
	for (i = 0; i < 2; i++) {
		readers.first_blocks = i > 0;
		(void)open_with_readers(&journal, 4);
		must_be_filled(journal);
		journal_close(&journal);
	}
}

/* All that is read of a full segment is its first block, what may be void, and its
   footer; where that is damaged, all of it. */
static void test_footers(void **state ATTR_UNUSED)
{
	uint64_t with, without;
	struct journal *journal;
	unsigned int count, i;
	int fd;

	fill_segments();
	with = open_with_readers(&journal, 0);
	must_be_filled(journal);
	journal_close(&journal);
	count = test_journal_files_in("journal");
	for (i = 1; i <= count; i++) {
		fd = open(test_journal_segment(i), O_RDWR);
		assert_true(fd >= 0);
		assert_int_equal(
			pwrite(fd, "damaged", 7, TEST_JOURNAL_SEGMENT - 10), 7);
		assert_int_equal(close(fd), 0);
	}
	without = open_with_readers(&journal, 0);
	must_be_filled(journal);
	/* the last one is read whole anyway */
	assert_true(without - with >=
		    (uint64_t)(count - 2) * TEST_JOURNAL_SEGMENT / 2);
	assert_int_equal(test_journal_store(journal, FILLED), 0);
	journal_close(&journal);
	journal = test_journal_open(false);
	must_be_filled(journal);
	assert_true(test_journal_has(journal, FILLED));
	assert_int_equal(test_journal.warnings, 0);
	journal_close(&journal);
}

/* The next number is one that no record has had. */
static void test_a_footer_tells_the_last_number(void **state ATTR_UNUSED)
{
	struct journal_entries entries;
	struct journal *journal;

	fill_segments();
	journal = test_journal_open(false);
	assert_int_equal(journal_entries_read(journal->segments[1], &entries),
			 1);
	assert_int_equal(entries.last_sequence + 1,
			 journal->segments[2]->header.first_sequence);
	journal_entries_free(&entries);
	journal_close(&journal);
}

#define GROUP 240

/* Tombstones, whose entries are the largest ones, as few groups. */
static void commit_group(struct journal *journal)
{
	static const unsigned char target[JOURNAL_TARGET_SIZE];
	static struct journal_request requests[GROUP];
	struct journal_request *list[GROUP];
	unsigned int i;

	memset(requests, 0, sizeof(requests));
	for (i = 0; i < GROUP; i++) {
		requests[i].count = 1;
		requests[i].records[0].type = JOURNAL_UNLINK;
		test_journal_make_id(1000 + i, &requests[i].records[0].id);
		requests[i].records[0].data = target;
		requests[i].records[0].size = sizeof(target);
		list[i] = &requests[i];
	}
	assert_int_equal(journal_commit_many(journal, list, GROUP), 0);
}

/* Wherever it begins, a group of many takes nothing of what the footer needs. */
static void test_a_group_leaves_room_for_the_footer(void **state ATTR_UNUSED)
{
	struct journal_items items;
	struct journal *journal;
	unsigned int before, n;

	for (before = 1; before < 15; before++) {
		journal = test_journal_new();
		for (n = 0; n < before; n++)
			assert_int_equal(test_journal_store(journal, n), 0);
		while (test_journal_active(journal) < 2)
			commit_group(journal);
		assert_int_equal(
			journal_footer_read(journal->segments[1], &items), 1);
		journal_items_free(&items);
		journal_close(&journal);
	}
}

/* Also where it was begun before this start. */
static void test_a_segment_that_goes_on_gets_a_footer(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	struct journal_items items;
	unsigned int n;

	for (n = 0; n < 3; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	journal_close(&journal);
	journal = test_journal_open(false);
	while (test_journal_active(journal) < 2)
		assert_int_equal(test_journal_store(journal, n++), 0);
	assert_int_equal(journal_footer_read(journal->segments[1], &items), 1);
	/* of each but the last one headers and their body */
	assert_int_equal(items.count, 2 * (n - 1));
	journal_items_free(&items);
	journal_close(&journal);
}

/* What a footer speaks of is looked at when it is read: 15, put aside, once; its
   neighbours are there. */
static void test_damage_under_a_footer(void **state ATTR_UNUSED)
{
	char stack[JOURNAL_STACK_MAX + 1];
	struct journal_header header;
	struct journal *journal;
	unsigned char *payload;
	unsigned int n;
	message_id id;

	fill_segments();
	test_journal_flip(JOURNAL_BLOCK_SIZE + JOURNAL_HEADER_SIZE + 8);
	test_journal_make_id(0, &id);
	journal = test_journal_open(true);
	assert_int_equal(journal_read(journal, &id, JOURNAL_BODY, &header,
				      stack, &payload),
			 -1);
	/* a reader leaves it to a writer */
	assert_int_equal(test_journal_files_in("quarantine"), 0);
	journal_close(&journal);
	journal = test_journal_open(false);
	for (n = 0; n < 2; n++) {
		assert_int_equal(journal_read(journal, &id, JOURNAL_BODY,
					      &header, stack, &payload),
				 -1);
		assert_int_equal(errno, EINVAL);
		/* the bytes and the reason, and one word of it */
		assert_int_equal(test_journal_files_in("quarantine"), 2);
		assert_int_equal(test_journal.warnings, 1);
	}
	/* of the whole record, with its payload */
	assert_int_equal(test_journal_must_keep_bytes(2 * JOURNAL_ALIGN), 1);
	for (n = 1; n < FILLED; n++)
		assert_int_equal(test_journal_has(journal, n), n % 5 != 2);
	journal_close(&journal);
}

/* Ends the active segment, as a crash leaves it that comes before there is another one. */
static void seal_active(struct journal *journal)
{
	journal_footer_write(journal->active, journal->next_sequence - 1);
	assert_int_equal(test_journal_files_in("journal"), 1);
}

/* Or the next start would not see what came behind it. */
static void test_a_segment_with_a_footer_is_full(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	uint64_t sequence;
	unsigned int n;

	for (n = 0; n < 10; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	seal_active(journal);
	sequence = journal->next_sequence;
	journal_close(&journal);
	journal = test_journal_open(false);
	/* or what comes might be taken for older */
	assert_true(journal->next_sequence >= sequence);
	assert_int_equal(test_journal_store(journal, 11), 0);
	journal_close(&journal);
	journal = test_journal_open(false);
	for (n = 0; n < 12; n++)
		assert_int_equal(test_journal_has(journal, n), n != 10);
	journal_close(&journal);
}

/* A footer does not say where its last record ends: that is not where a group may begin,
   even if a block does. */
static void
test_a_footer_whose_last_record_is_in_two_blocks(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	unsigned char data[JOURNAL_BLOCK_SIZE] = { 0 };
	char stack[JOURNAL_STACK_MAX + 1];
	struct journal_header header;
	struct test_journal_put put;
	unsigned char *payload;
	unsigned int n;

	for (n = 0; n < 9; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	test_journal_make_put(&put, 9, 1);
	put.request.records[0].data = data;
	put.request.records[0].stack = NULL;
	put.request.records[0].size =
		JOURNAL_BLOCK_SIZE - JOURNAL_HEADER_SIZE - JOURNAL_ALIGN;
	assert_int_equal(journal_commit(journal, &put.request), 0);
	assert_int_equal(((uint64_t)put.request.records[1].place.offset + 1) *
				 JOURNAL_ALIGN % JOURNAL_BLOCK_SIZE,
			 0);
	seal_active(journal);
	journal_close(&journal);
	journal = test_journal_open(false);
	assert_int_equal(test_journal_store(journal, 11), 0);
	assert_int_equal(journal_read(journal, &put.request.records[1].id,
				      JOURNAL_HEADERS, &header, stack,
				      &payload),
			 0);
	i_free(payload);
	assert_true(test_journal_has(journal, 11));
	journal_close(&journal);
}

/* A rewrite that is damaged overrules what it came after; only who reads the segment whole
   knows that. */
/* It has one. */
static void test_no_second_footer(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();

	assert_int_equal(test_journal_store(journal, 0), 0);
	seal_active(journal);
	/* nor is it kept in memory */
	assert_null(journal->active->footer);
	journal_close(&journal);
	journal = test_journal_open(false);
	assert_true(journal->segments[1]->sealed);
	assert_null(journal->segments[1]->footer);
	journal_close(&journal);
}

/* One that does not tell all must not be, or the rest would be gone. */
static void test_no_memory_for_a_footer(void **state ATTR_UNUSED)
{
	const struct journal_header header = { .type = JOURNAL_HEADERS,
					       .version = 1 };
	struct journal *journal = test_journal_new();
	unsigned int n = 0, i;

	assert_int_equal(test_journal_store(journal, n++), 0);
	test_mem_faults_begin(1, true);
	for (i = 0; i < FILLED && journal->active->footer != NULL; i++)
		journal_footer_add(journal->active, &header, 1, 1, NULL);
	(void)test_mem_faults_end();
	assert_null(journal->active->footer);
	test_journal_fill(journal, &n);
	test_journal_start_again(&journal);
	assert_false(journal->segments[1]->sealed);
	for (i = 0; i < n; i++)
		assert_true(test_journal_has(journal, i));
	journal_close(&journal);
}

/* Of the last record a footer does not say how long it is. */
static void test_what_messages_take(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	struct test_journal_put put;
	struct journal_entry entry;
	uint64_t taken, last;
	unsigned int n = 0;

	while (journal->active == NULL || journal->active->header.number == 1)
		assert_int_equal(test_journal_store(journal, n++), 0);
	taken = journal->segments[1]->taken;
	test_journal_make_put(&put, n - 2, 1);
	assert_true(journal_find(journal, &put.request.records[0].id, &entry));
	last = journal->segments[1]->pos -
		(uint64_t)entry.headers.offset * JOURNAL_ALIGN;
	assert_true(last > JOURNAL_ALIGN);
	test_journal_start_again(&journal);
	assert_true(journal->segments[1]->sealed);
	assert_int_equal(journal->segments[1]->taken,
			 taken - last + JOURNAL_ALIGN);
	journal_close(&journal);
}

static void test_a_damaged_segment_gets_no_footer(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	struct journal_entry entry;
	struct test_journal_put put;
	unsigned int n;

	assert_int_equal(test_journal_store(journal, 1), 0);
	test_journal_make_put(&put, 1, 2);
	assert_int_equal(
		journal_claim(journal, &put.request.records[0].id, &entry), 0);
	assert_int_equal(journal_commit(journal, &put.request), 0);
	journal_release(journal, &put.request.records[0].id);
	assert_int_equal(test_journal_store(journal, 2), 0);
	journal_close(&journal);
	/* the payload of the second version's headers */
	test_journal_flip(2 * JOURNAL_BLOCK_SIZE + 3 * JOURNAL_ALIGN + 9);
	journal = test_journal_open(false);
	assert_false(test_journal_has(journal, 1));
	/* it goes on in the same segment, which gets full */
	for (n = 3; n < 25; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	journal_close(&journal);
	journal = test_journal_open(false);
	assert_false(test_journal_has(journal, 1));
	for (n = 2; n < 25; n++)
		assert_true(test_journal_has(journal, n));
	journal_close(&journal);
}

#define TAIL_SIZE 64
/* Of headers, as doc/journal-format.md has it. */
#define ENTRY_SIZE 36

/* Writes a tail whose own checksum is right behind these entries, to the first segment. */
static void write_tail(const struct journal_segment *segment, const char *magic,
		       uint32_t count, uint64_t size, uint32_t crc,
		       const unsigned char *entries)
{
	unsigned char tail[TAIL_SIZE] = { 0 };
	FILE *file;

	memcpy(tail, magic, 4);
	put_le32(tail + 4, count);
	put_le64(tail + 8, size);
	put_le64(tail + 16, 1000);
	put_le32(tail + 56, crc);
	put_le32(tail + 60,
		 crc32c(crc32c(0, segment->header.incarnation,
			       JOURNAL_INCARNATION_SIZE),
			tail, 60));
	file = fopen(test_journal_segment(1), "r+");
	assert_non_null(file);
	assert_int_equal(
		fseek(file, TEST_JOURNAL_SEGMENT - TAIL_SIZE - 2 * ENTRY_SIZE,
		      SEEK_SET),
		0);
	assert_int_equal(fwrite(entries, ENTRY_SIZE, 2, file), 2);
	assert_int_equal(fwrite(tail, TAIL_SIZE, 1, file), 1);
	assert_int_equal(fclose(file), 0);
}

/* What cannot be is not gone by, whatever checksum it has: the segment is read. */
static void test_footers_that_cannot_be(void **state ATTR_UNUSED)
{
	static const struct {
		uint32_t count;
		uint64_t size;
		unsigned int second; /* type */
		int result;
		uint32_t wrong;    /* in the checksum of the entries */
		const char *magic; /* NULL: that of this version */
	} rows[] = {
		{ 2, 2 * ENTRY_SIZE, JOURNAL_HEADERS, 1, 0, NULL },
		{ 2, 2 * ENTRY_SIZE, JOURNAL_HEADERS, 0, 1, NULL },
		{ 2, 2 * ENTRY_SIZE, JOURNAL_HEADERS, 0, 0, "BJF2" },
		/* not all of the entries, or more than there are */
		{ 1, 2 * ENTRY_SIZE, JOURNAL_HEADERS, 0, 0, NULL },
		{ 3, 2 * ENTRY_SIZE, JOURNAL_HEADERS, 0, 0, NULL },
		{ UINT32_MAX, 2 * ENTRY_SIZE, JOURNAL_HEADERS, 0, 0, NULL },
		/* no room for its target */
		{ 2, 2 * ENTRY_SIZE, JOURNAL_UNLINK, 0, 0, NULL },
		/* more than the segment has */
		{ 2, (uint64_t)1 << 63, JOURNAL_HEADERS, 0, 0, NULL },
		{ 2, UINT64_MAX, JOURNAL_HEADERS, 0, 0, NULL },
	};
	struct journal *journal = test_journal_new();
	unsigned char entries[2 * ENTRY_SIZE];
	struct journal_items items;
	size_t i;

	assert_int_equal(test_journal_store(journal, 1), 0);
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		memset(entries, 0, sizeof(entries));
		entries[0] = JOURNAL_HEADERS;
		entries[ENTRY_SIZE] = (unsigned char)rows[i].second;
		write_tail(journal->segments[1],
			   rows[i].magic == NULL ? "BJF1" : rows[i].magic,
			   rows[i].count, rows[i].size,
			   crc32c(0, entries, sizeof(entries)) ^ rows[i].wrong,
			   entries);
		if (journal_footer_read(journal->segments[1], &items) !=
		    rows[i].result)
			fail_msg("row %zu", i);
		/* who makes room for so many must not be misled */
		assert_in_range(journal_footer_count(journal->segments[1]),
				rows[i].result * 2, 2);
		journal_items_free(&items);
	}
	journal_close(&journal);
}

/* Nobody is told that a segment has nothing, as there was no memory for what it has. */
static void test_a_footer_that_memory_has_no_room_for(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	struct journal_items items;
	unsigned int n = 0, at;
	int ret = -1;

	assert_int_equal(test_journal_store(journal, n++), 0);
	test_journal_fill(journal, &n);
	for (at = 1; ret < 0; at++) {
		test_mem_faults_begin(at, false);
		ret = journal_footer_read(journal->segments[1], &items);
		if (test_mem_faults_end() < at)
			break;
		assert_int_equal(ret, -1);
		assert_int_equal(errno, ENOMEM);
	}
	assert_true(at > 2);
	assert_int_equal(ret, 1);
	assert_int_equal(items.count, 2 * (n - 1));
	journal_items_free(&items);
	journal_close(&journal);
}

/* A footer that has no room behind the records is none, rather than over them. */
static void test_a_footer_without_room(void **state ATTR_UNUSED)
{
	static const unsigned char zeros[TEST_JOURNAL_SEGMENT];
	struct journal *journal = test_journal_new();
	unsigned int n;

	for (n = 0; n < 5; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	buffer_append(journal->active->footer, zeros,
		      TEST_JOURNAL_SEGMENT - 3 * JOURNAL_BLOCK_SIZE);
	journal_footer_write(journal->active, 1000);
	for (n = 0; n < 5; n++)
		assert_true(test_journal_has(journal, n));
	journal_close(&journal);
}

/* On a full disk one began without a footer, and so is written up to its end; a start gives
   it one, for which there is no room. */
static void test_a_footer_behind_the_end(void **state ATTR_UNUSED)
{
	const size_t body = 3700; /* a block with its headers */
	unsigned char before[JOURNAL_BLOCK_SIZE], after[JOURNAL_BLOCK_SIZE];
	const off_t last = TEST_JOURNAL_SEGMENT - JOURNAL_BLOCK_SIZE;
	struct journal *journal = test_journal_new();
	unsigned int n = 0;
	int fd;

	assert_int_equal(test_journal_store(journal, n++), 0);
	journal_footer_free(journal->active);
	while (journal->active->pos < TEST_JOURNAL_SEGMENT)
		assert_int_equal(test_disk_store(journal, n++, body), 0);
	assert_int_equal(test_journal_active(journal), 1);
	fd = open(test_journal_segment(1), O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread(fd, before, sizeof(before), last),
			 sizeof(before));
	test_journal_start_again(&journal);
	assert_int_equal(test_journal_store(journal, n++), 0);
	assert_int_equal(test_journal_active(journal), 2);
	assert_int_equal(pread(fd, after, sizeof(after), last), sizeof(after));
	assert_memory_equal(before, after, sizeof(before));
	assert_int_equal(close(fd), 0);
	journal_close(&journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_segments_are_read_at_once),
		cmocka_unit_test(test_footers),
		cmocka_unit_test(test_a_footer_tells_the_last_number),
		cmocka_unit_test(test_a_group_leaves_room_for_the_footer),
		cmocka_unit_test(test_a_segment_that_goes_on_gets_a_footer),
		cmocka_unit_test(test_damage_under_a_footer),
		cmocka_unit_test(test_a_segment_with_a_footer_is_full),
		cmocka_unit_test(
			test_a_footer_whose_last_record_is_in_two_blocks),
		cmocka_unit_test(test_a_damaged_segment_gets_no_footer),
		cmocka_unit_test(test_no_second_footer),
		cmocka_unit_test(test_no_memory_for_a_footer),
		cmocka_unit_test(test_what_messages_take),
		cmocka_unit_test(test_footers_that_cannot_be),
		cmocka_unit_test(test_a_footer_that_memory_has_no_room_for),
		cmocka_unit_test(test_a_footer_without_room),
		cmocka_unit_test(test_a_footer_behind_the_end),
	};

	return cmocka_run_group_tests_name("journal-footer", tests, NULL, NULL);
}
