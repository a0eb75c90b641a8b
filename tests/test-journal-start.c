/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What a start makes of a journal: by footers, by several readers, of damage. */

#include "config.h"
#include "crc32c.h"
#include "endian-io.h"
#include "file-ops.h"
#include "io-infrastructure.h"
#include "journal/journal-scan.h"
#include "macros.h"
#include "mem.h"
#include "test-faults.h"
#include "test-journal-common.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Starts
 */

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	unsigned int wanted, inside, most;
	uint64_t bytes;
} readers = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, 0, 0 };

/* Who wants to read the end of a segment waits for others to want it, too. Alone, it
   would wait for ever: then the test has failed. */
static ssize_t gathering_pread(int fd, void *data, size_t size, off_t offset)
{
	struct timespec deadline;
	ssize_t ret = file_ops_system.pread(fd, data, size, offset);

	(void)pthread_mutex_lock(&readers.mutex);
	readers.bytes += ret > 0 ? (uint64_t)ret : 0;
	if (offset == TEST_JOURNAL_SEGMENT - 64) {
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

	fill_segments();
	(void)open_with_readers(&journal, 4);
	must_be_filled(journal);
	journal_close(&journal);
}

/* All that is read of a full segment is its first block, what may be void, and its
   footer; where that is damaged, all of it. */
static void test_footers(void **state ATTR_UNUSED)
{
	uint64_t with, without;
	struct journal *journal;
	unsigned int count, i;
	char path[600];
	int fd;

	fill_segments();
	with = open_with_readers(&journal, 0);
	must_be_filled(journal);
	journal_close(&journal);
	count = test_journal_files_in("journal");
	for (i = 1; i <= count; i++) {
		(void)snprintf(path, sizeof(path), "%s/journal/%08u.seg",
			       test_journal.dir, i);
		fd = open(path, O_RDWR);
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

/* Each copy has the bytes that are there in the segment, which its name tells: how many
   copies there are. */
static unsigned int must_keep_bytes(size_t least)
{
	char path[900];
	unsigned int segment, copies = 0;
	unsigned long long pos;
	buffer_t *copy, *original;
	struct dirent *entry;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "%s/quarantine", test_journal.dir);
	dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		if (strstr(entry->d_name, ".why") != NULL ||
		    sscanf(entry->d_name, "journal-%u-%*[0-9a-f]-%llu.bytes",
			   &segment, &pos) != 2)
			continue;
		(void)snprintf(path, sizeof(path), "%s/quarantine/%s",
			       test_journal.dir, entry->d_name);
		copy = test_read_file(path);
		(void)snprintf(path, sizeof(path), "%s/journal/%08u.seg",
			       test_journal.dir, segment);
		original = test_read_file(path);
		assert_true(copy->used >= least);
		assert_memory_equal(copy->data,
				    (const char *)original->data + pos,
				    copy->used);
		buffer_free(&copy);
		buffer_free(&original);
		copies++;
	}
	(void)closedir(dir);
	return copies;
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
	assert_int_equal(must_keep_bytes(2 * JOURNAL_ALIGN), 1);
	for (n = 1; n < FILLED; n++)
		assert_int_equal(test_journal_has(journal, n), n % 5 != 2);
	journal_close(&journal);
}

/* Ends the active segment with one that has no room there, 10; and there cannot be another
   segment. */
static void seal_active(struct journal *journal)
{
	unsigned char data[20000] = { 0 };
	struct test_journal_put put;

	test_journal_make_put(&put, 10, 1);
	put.request.records[0].data = data;
	put.request.records[0].size = sizeof(data);
	/* who stores one would leave it as it is */
	put.request.records[0].type = JOURNAL_STATES;
	put.request.count = 1;
	test_faults_begin();
	test_faults.fail_at[TEST_OP_OPEN] = 1;
	test_faults.fail_errno[TEST_OP_OPEN] = ENOSPC;
	assert_int_equal(journal_commit(journal, &put.request), -1);
	test_faults_end();
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
static void write_tail(const struct journal_segment *segment, uint32_t count,
		       uint64_t size, uint32_t crc,
		       const unsigned char *entries)
{
	unsigned char tail[TAIL_SIZE] = { 0 };
	char path[600];
	FILE *file;

	memcpy(tail, "BJF1", 4);
	put_le32(tail + 4, count);
	put_le64(tail + 8, size);
	put_le64(tail + 16, 1000);
	put_le32(tail + 56, crc);
	put_le32(tail + 60,
		 crc32c(crc32c(0, segment->header.incarnation,
			       JOURNAL_INCARNATION_SIZE),
			tail, 60));
	(void)snprintf(path, sizeof(path), "%s/journal/00000001.seg",
		       test_journal.dir);
	file = fopen(path, "r+");
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
		uint32_t wrong; /* in the checksum of the entries */
	} rows[] = {
		{ 2, 2 * ENTRY_SIZE, JOURNAL_HEADERS, 1, 0 },
		{ 2, 2 * ENTRY_SIZE, JOURNAL_HEADERS, 0, 1 },
		/* not all of the entries, or more than there are */
		{ 1, 2 * ENTRY_SIZE, JOURNAL_HEADERS, 0, 0 },
		{ 3, 2 * ENTRY_SIZE, JOURNAL_HEADERS, 0, 0 },
		{ UINT32_MAX, 2 * ENTRY_SIZE, JOURNAL_HEADERS, 0, 0 },
		/* no room for its target */
		{ 2, 2 * ENTRY_SIZE, JOURNAL_UNLINK, 0, 0 },
		/* more than the segment has */
		{ 2, (uint64_t)1 << 63, JOURNAL_HEADERS, 0, 0 },
		{ 2, UINT64_MAX, JOURNAL_HEADERS, 0, 0 },
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
		write_tail(journal->segments[1], rows[i].count, rows[i].size,
			   crc32c(0, entries, sizeof(entries)) ^ rows[i].wrong,
			   entries);
		if (journal_footer_read(journal->segments[1], &items) !=
		    rows[i].result)
			fail_msg("row %zu", i);
		journal_items_free(&items);
	}
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

/*
 * Damage
 */

/* Three messages, each in a group, and damage at this offset in the second one's. */
static void make_three(uint64_t offset)
{
	struct journal *journal = test_journal_new();
	unsigned int n;

	for (n = 1; n <= 3; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	journal_close(&journal);
	test_journal_flip(2 * JOURNAL_BLOCK_SIZE + offset);
}

/* Where the records of the second of three messages are, each in a group. */
static void test_damage_is_put_aside(void **state ATTR_UNUSED)
{
	static const struct {
		const char *what;
		unsigned int offset;
	} rows[] = {
		{ "the body's header", 10 },
		{ "the body", JOURNAL_HEADER_SIZE + 8 },
		{ "the headers' header", 2 * JOURNAL_ALIGN + 20 },
		{ "the headers", 3 * JOURNAL_ALIGN + 9 },
	};
	struct journal *journal;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		make_three(rows[i].offset);
		journal = test_journal_open(true);
		assert_false(test_journal_has(journal, 2));
		journal_close(&journal);
		assert_int_equal(test_journal_files_in("quarantine"), 0);
		journal = test_journal_open(false);
		if (test_journal_has(journal, 2) ||
		    !test_journal_has(journal, 1) ||
		    !test_journal_has(journal, 3))
			fail_msg("%s", rows[i].what);
		assert_true(test_journal.warnings > 0);
		assert_true(test_journal_files_in("quarantine") >= 2);
		assert_true(must_keep_bytes(JOURNAL_ALIGN) > 0);
		assert_int_equal(test_journal_store(journal, 4), 0);
		journal_close(&journal);
	}
}

/* The last group may not have been synced: its damage is a torn tail, and stays
   that. */
static void test_a_torn_tail_is_void(void **state ATTR_UNUSED)
{
	static const unsigned int offsets[] = { 10, JOURNAL_HEADER_SIZE + 8,
						2 * JOURNAL_ALIGN + 20,
						3 * JOURNAL_ALIGN + 9 };
	struct journal *journal;
	size_t i, j;

	for (i = 0; i < N_ELEMENTS(offsets); i++) {
		journal = test_journal_new();
		assert_int_equal(test_journal_store(journal, 1), 0);
		assert_int_equal(test_journal_store(journal, 2), 0);
		journal_close(&journal);
		test_journal_flip(2 * JOURNAL_BLOCK_SIZE + offsets[i]);
		for (j = 0; j < 3; j++) {
			journal = test_journal_open(false);
			assert_true(test_journal_has(journal, 1));
			assert_false(test_journal_has(journal, 2));
			assert_int_equal(test_journal_store(
						 journal, 10 + (unsigned int)j),
					 0);
			journal_close(&journal);
		}
		assert_int_equal(test_journal.warnings, 0);
		assert_int_equal(test_journal_files_in("quarantine"), 0);
	}
}

#define TORN 40

/* More is void than one block can say. */
static void test_much_is_void(void **state ATTR_UNUSED)
{
	static struct test_journal_put puts[TORN];
	struct journal *journal = test_journal_new();
	struct journal_request *requests[TORN];
	struct journal_entry entry;
	unsigned int n;

	/* this one keeps the segment what it is */
	assert_int_equal(test_journal_store(journal, 200), 0);
	for (n = 0; n < TORN; n++) {
		test_journal_make_put(&puts[n], n, 1);
		requests[n] = &puts[n].request;
		assert_int_equal(journal_claim(journal,
					       &puts[n].request.records[0].id,
					       &entry),
				 0);
	}
	assert_int_equal(journal_commit_many(journal, requests, TORN), 0);
	for (n = 0; n < TORN; n++)
		journal_release(journal, &puts[n].request.records[0].id);
	journal_close(&journal);
	for (n = 0; n < TORN; n++)
		test_journal_flip(
			(uint64_t)puts[n].request.records[0].place.offset *
				JOURNAL_ALIGN +
			JOURNAL_HEADER_SIZE + 8);
	journal = test_journal_open(false);
	assert_int_equal(test_journal_store(journal, 100), 0);
	journal_close(&journal);
	journal = test_journal_open(false);
	for (n = 0; n < TORN; n++)
		assert_false(test_journal_has(journal, n));
	assert_true(test_journal_has(journal, 100));
	assert_true(test_journal_has(journal, 200));
	journal_close(&journal);
	assert_int_equal(test_journal.warnings, 0);
	assert_int_equal(test_journal_files_in("quarantine"), 0);
}

/* What says that a tail is void was cut itself: neither is damage. */
static void test_a_torn_void(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();

	assert_int_equal(test_journal_store(journal, 1), 0);
	assert_int_equal(test_journal_store(journal, 2), 0);
	journal_close(&journal);
	test_journal_flip(2 * JOURNAL_BLOCK_SIZE + JOURNAL_HEADER_SIZE + 8);
	journal = test_journal_open(false);
	test_faults_begin();
	/* that of the segment comes before */
	test_faults.fail_at[TEST_OP_FDATASYNC] = 2;
	test_faults.fail_errno[TEST_OP_FDATASYNC] = EIO;
	assert_int_equal(test_journal_store(journal, 3), EIO);
	test_faults_end();
	journal_close(&journal);
	test_journal_flip_in(2, JOURNAL_BLOCK_SIZE + 10);
	test_journal.warnings = 0;
	journal = test_journal_open(false);
	assert_true(test_journal_has(journal, 1));
	assert_false(test_journal_has(journal, 2));
	journal_close(&journal);
	assert_int_equal(test_journal.warnings, 0);
	assert_int_equal(test_journal_files_in("quarantine"), 0);
}

/* The last group has lost its first record, or that one's payload, and what came before it
   is damaged: that was synced, and is no torn tail. */
static void test_damage_before_a_torn_tail(void **state ATTR_UNUSED)
{
	static const unsigned int offsets[] = { 10, JOURNAL_HEADER_SIZE + 8 };
	struct journal *journal;
	size_t i;

	for (i = 0; i < N_ELEMENTS(offsets); i++) {
		make_three(JOURNAL_HEADER_SIZE + 8);
		test_journal_flip(3 * JOURNAL_BLOCK_SIZE + offsets[i]);
		journal = test_journal_open(false);
		assert_true(test_journal_has(journal, 1));
		assert_false(test_journal_has(journal, 2));
		assert_false(test_journal_has(journal, 3));
		assert_true(test_journal.warnings > 0);
		assert_true(test_journal_files_in("quarantine") >= 2);
		journal_close(&journal);
	}
}

static void test_first_blocks(void **state ATTR_UNUSED)
{
	struct journal_settings settings = { .segment_size =
						     TEST_JOURNAL_SEGMENT };
	struct journal *journal;
	char *error;

	journal = test_journal_new();
	assert_int_equal(test_journal_store(journal, 1), 0);
	journal_close(&journal);
	test_journal_flip(20);
	journal = journal_open(test_journal.dir_fd, test_journal.dir, &settings,
			       &error);
	assert_null(journal);
	assert_int_equal(errno, EINVAL);
	assert_non_null(strstr(error, "segment 1 is damaged"));
	free(error);
	test_journal_flip(20);
	journal = test_journal_open(false);
	assert_true(test_journal_has(journal, 1));
	journal_close(&journal);
}

/* What would go beyond the segment's end is no record, and the next group takes its
   place. */
static void test_a_record_beyond_the_end(void **state ATTR_UNUSED)
{
	struct journal_header header = { .type = JOURNAL_BODY,
					 .flags = JOURNAL_GROUP_START,
					 .stored_size = TEST_JOURNAL_SEGMENT };
	struct journal *journal = test_journal_new();
	unsigned char bytes[JOURNAL_HEADER_SIZE];

	assert_int_equal(test_journal_store(journal, 1), 0);
	journal_header_put(&header, journal->active->header.incarnation, bytes);
	assert_int_equal(journal_file_write(journal->active->file, bytes,
					    sizeof(bytes),
					    journal->active->pos),
			 0);
	journal_close(&journal);
	journal = test_journal_open(false);
	assert_int_equal(test_journal_store(journal, 2), 0);
	assert_int_equal(journal->active->header.number, 1);
	assert_true(test_journal_has(journal, 1));
	assert_true(test_journal_has(journal, 2));
	journal_close(&journal);
}

/* The record right before them has to be what they were written with. */
static void test_headers_behind_the_body_of_others(void **state ATTR_UNUSED)
{
	static const struct {
		unsigned int n;
		uint64_t version;
		unsigned int flags;
	} bodies[] = {
		{ 9, 1, 0 },                /* of another message */
		{ 2, 2, 0 },                /* of another version */
		{ 2, 1, JOURNAL_EXTERNAL }, /* in a file */
	};
	struct journal_record *body;
	struct test_journal_put put;
	struct journal *journal;
	size_t i;

	for (i = 0; i < N_ELEMENTS(bodies); i++) {
		journal = test_journal_new();
		assert_int_equal(test_journal_store(journal, 1), 0);
		test_journal_make_put(&put, 2, 1);
		body = &put.request.records[0];
		test_journal_make_id(bodies[i].n, &body->id);
		body->version = bodies[i].version;
		body->flags = bodies[i].flags;
		assert_int_equal(journal_commit(journal, &put.request), 0);
		assert_int_equal(test_journal_store(journal, 3), 0);
		journal_close(&journal);
		journal = test_journal_open(false);
		assert_true(test_journal_has(journal, 1));
		assert_false(test_journal_has(journal, 2));
		assert_true(test_journal_has(journal, 3));
		assert_int_equal(test_journal.warnings, 1);
		/* a footer would not know of them */
		assert_null(journal->segments[1]->footer);
		journal_close(&journal);
	}
}

/* A file that was renamed would be taken for the segment that its header names, which
   may be there as well. */
static void test_a_segment_under_another_name(void **state ATTR_UNUSED)
{
	struct journal_settings settings = { .segment_size =
						     TEST_JOURNAL_SEGMENT };
	struct journal *journal;
	char *error;
	int fd;

	journal = test_journal_new();
	assert_int_equal(test_journal_store(journal, 1), 0);
	fd = dup(journal->fd);
	journal_close(&journal);
	assert_int_equal(renameat(fd, "00000001.seg", fd, "00000002.seg"), 0);
	journal = journal_open(test_journal.dir_fd, test_journal.dir, &settings,
			       &error);
	assert_null(journal);
	assert_int_equal(errno, EINVAL);
	assert_non_null(strstr(error, "segment 2 is damaged"));
	free(error);
	assert_int_equal(renameat(fd, "00000002.seg", fd, "00000001.seg"), 0);
	assert_int_equal(close(fd), 0);
	journal = test_journal_open(false);
	assert_true(test_journal_has(journal, 1));
	journal_close(&journal);
}

static struct journal *repair(bool read_only)
{
	struct journal_settings settings = { .read_only = read_only,
					     .repair = true };

	return test_journal_open_with(settings);
}

/* A disk that fails is no damage: nothing is put aside, and the next try finds all. */
static void test_a_first_block_that_cannot_be_read(void **state ATTR_UNUSED)
{
	struct journal_settings settings = {
		.segment_size = TEST_JOURNAL_SEGMENT, .repair = true
	};
	struct journal *journal = test_journal_new();
	char *error;

	assert_int_equal(test_journal_store(journal, 1), 0);
	journal_close(&journal);
	test_faults_begin();
	test_faults.fail_at[TEST_OP_READ] = 1;
	test_faults.fail_errno[TEST_OP_READ] = EIO;
	journal = journal_open(test_journal.dir_fd, test_journal.dir, &settings,
			       &error);
	test_faults_end();
	assert_null(journal);
	assert_int_equal(errno, EIO);
	assert_non_null(strstr(error, "reading segment 1 failed"));
	free(error);
	assert_int_equal(test_journal_files_in("quarantine"), 0);
	journal = repair(false);
	assert_true(test_journal_has(journal, 1));
	journal_close(&journal);
}

/* The only segment, the first and the last one of several. */
static void test_a_damaged_segment_is_put_aside(void **state ATTR_UNUSED)
{
	const struct journal_damage *damage;
	struct journal *journal;

	journal = test_journal_new();
	assert_int_equal(test_journal_store(journal, 1), 0);
	journal_close(&journal);
	test_journal_flip(20);
	journal = repair(true);
	assert_false(test_journal_has(journal, 1));
	damage = journal_get_damage(journal);
	assert_non_null(damage);
	assert_int_equal(damage->segment, 1);
	assert_int_equal(damage->offset, 0);
	assert_null(damage->next);
	journal_close(&journal);
	assert_int_equal(test_journal_files_in("quarantine"), 0);
	journal = repair(false);
	assert_false(test_journal_has(journal, 1));
	assert_int_equal(test_journal.warnings, 1);
	/* the file, and why */
	assert_int_equal(test_journal_files_in("quarantine"), 2);
	assert_int_equal(test_journal_files_in("journal"), 0);
	assert_int_equal(test_journal_store(journal, 2), 0);
	journal_close(&journal);
	journal = test_journal_open(true);
	assert_true(test_journal_has(journal, 2));
	assert_null(journal_get_damage(journal));
	journal_close(&journal);
	/* once more of the same number takes no place of what is there */
	test_journal_flip(20);
	journal = repair(false);
	assert_int_equal(test_journal_files_in("quarantine"), 4);
	journal_close(&journal);
}

/* As where it was restored from a copy that had no empty directories. */
static void test_no_directory_for_bodies(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	char path[600];

	assert_int_equal(test_journal_store(journal, 1), 0);
	journal_close(&journal);
	(void)snprintf(path, sizeof(path), "%s/journal/bodies",
		       test_journal.dir);
	assert_int_equal(rmdir(path), 0);
	test_faults_begin();
	journal = test_journal_open(false);
	/* its name, and those of the segments */
	assert_int_equal(test_faults.calls[TEST_OP_FSYNC_DIR], 2);
	test_faults_end();
	assert_true(test_journal_has(journal, 1));
	journal_close(&journal);
	assert_int_equal(rmdir(path), 0);
}

/* Whatever call fails, a start that succeeds has all there is, and nothing that a sync could
   not make durable is gone by. */
static void test_every_failing_call_of_a_start(void **state ATTR_UNUSED)
{
	static const struct {
		enum test_op op;
		bool always;
	} rows[] = {
		{ TEST_OP_FDATASYNC, true }, { TEST_OP_FSYNC_DIR, true },
		{ TEST_OP_OPENDIR, false },  { TEST_OP_READDIR, false },
		{ TEST_OP_OPEN, false },     { TEST_OP_READ, false },
		{ TEST_OP_FSTAT, false },    { TEST_OP_WRITE, true },
	};
	struct journal_settings settings = { .segment_size =
						     TEST_JOURNAL_SEGMENT };
	struct journal *journal = test_journal_new();
	unsigned int count = 0, n, hit, i;
	size_t row;
	char *error;

	while (test_journal_active(journal) < 3)
		assert_int_equal(test_journal_store(journal, count++), 0);
	journal_close(&journal);
	for (row = 0; row < N_ELEMENTS(rows); row++) {
		TEST_EACH_CALL(n, hit) {
			test_faults_begin();
			test_faults.fail_at[rows[row].op] = n;
			test_faults.fail_errno[rows[row].op] = EIO;
			journal = journal_open(test_journal.dir_fd,
					       test_journal.dir, &settings,
					       &error);
			hit = test_faults.calls[rows[row].op];
			test_faults_end();
			if (journal == NULL) {
				assert_int_equal(errno, EIO);
				assert_true(n <= hit);
				free(error);
				continue;
			}
			assert_false(rows[row].always && n <= hit);
			for (i = 0; i < count; i++)
				assert_true(test_journal_has(journal, i));
			journal_close(&journal);
		}
	}
}

/* How much of a segment is messages' is the same for who wrote it and who reads it whole. A
   footer says of the last record only where it begins. */
static void test_what_a_segment_has_taken(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	uint64_t taken;
	unsigned int n;

	for (n = 0; test_journal_active(journal) < 2; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	taken = journal->segments[1]->taken;
	assert_int_equal(taken, (n - 1) * JOURNAL_BLOCK_SIZE);
	test_journal_start_again(&journal);
	assert_in_range(journal->segments[1]->taken, taken - JOURNAL_BLOCK_SIZE,
			taken);
	test_journal_flip(TEST_JOURNAL_SEGMENT - 10);
	test_journal_start_again(&journal);
	assert_int_equal(journal->segments[1]->taken, taken);
	journal_close(&journal);
}

/* Two names become durable before a journal is made: that of its directory, and what is
   in that. */
static void test_a_journal_that_cannot_be_made(void **state ATTR_UNUSED)
{
	static const enum test_op ops[] = { TEST_OP_MKDIR, TEST_OP_FSYNC_DIR };
	unsigned int call;
	size_t i;

	for (i = 0; i < N_ELEMENTS(ops); i++) {
		for (call = 1; call <= 2; call++) {
			test_journal_new_dir();
			assert_int_equal(unlinkat(test_journal.dir_fd,
						  "journal/bodies",
						  AT_REMOVEDIR),
					 0);
			assert_int_equal(unlinkat(test_journal.dir_fd,
						  "journal", AT_REMOVEDIR),
					 0);
			test_faults_begin();
			test_faults.fail_at[ops[i]] = call;
			test_faults.fail_errno[ops[i]] = EIO;
			assert_int_equal(journal_init(test_journal.dir_fd), -1);
			assert_int_equal(errno, EIO);
			test_faults_end();
		}
	}
}

/*
 * A reader beside a writer
 */

/* What a writer is making right now. */
static void test_a_reader_leaves_the_next_segment(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new(), *reader;
	char path[600];
	int fd;

	assert_int_equal(test_journal_store(journal, 1), 0);
	(void)snprintf(path, sizeof(path), "%s/journal/" JOURNAL_NEW_NAME,
		       test_journal.dir);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	assert_int_equal(close(fd), 0);
	reader = test_journal_open(true);
	assert_true(test_journal_has(reader, 1));
	journal_close(&reader);
	assert_int_equal(unlink(path), 0);
	journal_close(&journal);
}

/* Until the first segment is written anew: none of its messages is left. */
static void write_first_anew(struct journal *journal, unsigned int *n)
{
	while (journal->active == NULL || journal->active->header.number != 1)
		assert_int_equal(test_journal_store(journal, (*n)++), 0);
}

/* In the second of its segments; the first one is dead. */
static struct journal *new_with_dead_segment(unsigned int *n)
{
	struct journal *journal = test_journal_new();
	unsigned int i;

	for (*n = 0; test_journal_active(journal) < 2;)
		assert_int_equal(test_journal_store(journal, (*n)++), 0);
	for (i = 0; i + 1 < *n; i++)
		assert_int_equal(test_journal_drop(journal, i), 0);
	return journal;
}

/* What was written anew is no damage, but has to be opened again. */
static void test_what_a_writer_moved(void **state ATTR_UNUSED)
{
	struct journal_header header;
	char stack[JOURNAL_STACK_MAX + 1];
	struct journal *journal, *reader;
	unsigned char *data;
	unsigned int n, i;
	message_id id;

	journal = test_journal_new();
	for (n = 0; test_journal_active(journal) < 2;)
		assert_int_equal(test_journal_store(journal, n++), 0);
	reader = test_journal_open(true);
	assert_true(test_journal_has(reader, 0));
	for (i = 0; i + 1 < n; i++)
		assert_int_equal(test_journal_drop(journal, i), 0);
	write_first_anew(journal, &n);
	test_journal_make_id(0, &id);
	assert_int_equal(journal_read(reader, &id, JOURNAL_HEADERS, &header,
				      stack, &data),
			 -1);
	assert_int_equal(errno, ESTALE);
	journal_close(&reader);
	reader = test_journal_open(true);
	assert_false(test_journal_has(reader, 0));
	assert_true(test_journal_has(reader, n - 1));
	assert_null(journal_get_damage(reader));
	journal_close(&reader);
	journal_close(&journal);
}

static struct {
	struct journal *writer; /* NULL: it is its own turn, or was */
	unsigned int n;
	int fd; /* the reader's, of the first segment */
} beside;

static int noting_openat(int dir, const char *path, int flags, mode_t mode)
{
	int fd = file_ops_system.openat(dir, path, flags, mode);

	if (beside.writer != NULL && strcmp(path, "00000001.seg") == 0)
		beside.fd = fd;
	return fd;
}

/* The writer goes on when the reader has seen the first block of the first segment. */
static ssize_t overtaking_pread(int fd, void *data, size_t size, off_t offset)
{
	ssize_t ret = file_ops_system.pread(fd, data, size, offset);
	struct journal *writer = beside.writer;

	if (writer != NULL && fd == beside.fd && offset == 0) {
		beside.writer = NULL;
		write_first_anew(writer, &beside.n);
	}
	return ret;
}

static void test_a_reader_that_was_overtaken(void **state ATTR_UNUSED)
{
	struct file_ops ops = file_ops_system;
	struct journal *journal, *reader;

	journal = new_with_dead_segment(&beside.n);
	beside.writer = journal;
	beside.fd = -1;
	ops.openat = noting_openat;
	ops.pread = overtaking_pread;
	file_ops_set(&ops);
	reader = test_journal_open(true);
	file_ops_set(NULL);
	assert_int_equal(journal->active->header.number, 1);
	assert_null(journal_get_damage(reader));
	assert_true(test_journal_has(reader, beside.n - 1));
	journal_close(&reader);
	journal_close(&journal);
}

/* A writer that is faster than any reader: the first segment is as it was whenever it is
   opened, and written anew as soon as its first block was read. */
static struct {
	unsigned char bytes[JOURNAL_SEGMENT_MIN];
	int fd; /* the reader's; -1: it has read it */
	unsigned int opened;
} fast;

static void write_first(const void *bytes, size_t size)
{
	int fd = openat(test_journal.dir_fd, "journal/00000001.seg", O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
	assert_int_equal(close(fd), 0);
}

static int restoring_openat(int dir, const char *path, int flags, mode_t mode)
{
	int fd = file_ops_system.openat(dir, path, flags, mode);

	if (strcmp(path, "00000001.seg") == 0) {
		write_first(fast.bytes, sizeof(fast.bytes));
		fast.fd = fd;
		fast.opened++;
	}
	return fd;
}

static ssize_t spoiling_pread(int fd, void *data, size_t size, off_t offset)
{
	ssize_t ret = file_ops_system.pread(fd, data, size, offset);
	unsigned char blocks[2 * JOURNAL_BLOCK_SIZE] = { 0 };
	struct journal_segment_header header;

	if (fd != fast.fd || offset != 0)
		return ret;
	fast.fd = -1;
	assert_int_equal(journal_segment_header_get(&header, data),
			 JOURNAL_SEGMENT_VALID);
	header.incarnation[0] ^= 1;
	journal_segment_header_put(&header, blocks);
	write_first(blocks, sizeof(blocks));
	return ret;
}

static void test_a_writer_that_is_faster(void **state ATTR_UNUSED)
{
	struct file_ops ops = file_ops_system;
	struct journal *journal = test_journal_new(), *reader;
	unsigned int n = 0;
	int fd;

	while (n < 3)
		assert_int_equal(test_journal_store(journal, n++), 0);
	journal_close(&journal);
	fd = openat(test_journal.dir_fd, "journal/00000001.seg", O_RDONLY);
	assert_int_equal(read(fd, fast.bytes, sizeof(fast.bytes)),
			 sizeof(fast.bytes));
	assert_int_equal(close(fd), 0);
	fast.fd = -1;
	ops.openat = restoring_openat;
	ops.pread = spoiling_pread;
	file_ops_set(&ops);
	reader = test_journal_open(true);
	file_ops_set(NULL);
	assert_int_equal(fast.opened, 10);
	assert_null(journal_get_damage(reader));
	journal_close(&reader);
}

/* The second one comes while the third is being opened. */
static int appearing_openat(int dir, const char *path, int flags, mode_t mode)
{
	if (strcmp(path, "00000003.seg") == 0)
		assert_int_equal(renameat(test_journal.dir_fd, "hidden", dir,
					  "00000002.seg"),
				 0);
	return file_ops_system.openat(dir, path, flags, mode);
}

/* A listing had the younger one of two that a writer made meanwhile. */
static void test_a_segment_that_was_not_listed(void **state ATTR_UNUSED)
{
	struct file_ops ops = file_ops_system;
	struct journal *journal = test_journal_new(), *reader;
	unsigned int i, n = 0;

	while (test_journal_active(journal) < 3)
		assert_int_equal(test_journal_store(journal, n++), 0);
	journal_close(&journal);
	assert_int_equal(renameat(test_journal.dir_fd, "journal/00000002.seg",
				  test_journal.dir_fd, "hidden"),
			 0);
	ops.openat = appearing_openat;
	file_ops_set(&ops);
	reader = test_journal_open(true);
	file_ops_set(NULL);
	assert_null(journal_get_damage(reader));
	for (i = 0; i < n; i++)
		assert_true(test_journal_has(reader, i));
	journal_close(&reader);
}

/* That a segment is missing, or its end, a reader names, until a repair has told of it. */
static void test_what_is_missing_is_damage(void **state ATTR_UNUSED)
{
	const struct journal_damage *damage;
	struct journal *journal;
	char path[600];
	unsigned int i, n;

	for (i = 0; i < 2; i++) {
		journal = test_journal_new();
		n = 0;
		while (test_journal_active(journal) < 3)
			assert_int_equal(test_journal_store(journal, n++), 0);
		journal_close(&journal);
		(void)snprintf(path, sizeof(path), "%s/journal/00000002.seg",
			       test_journal.dir);
		/* between two groups */
		if (i == 0)
			assert_int_equal(unlink(path), 0);
		else
			assert_int_equal(truncate(path, 5 * JOURNAL_BLOCK_SIZE),
					 0);
		journal = test_journal_open(true);
		damage = journal_get_damage(journal);
		assert_non_null(damage);
		assert_int_equal(damage->segment, 2);
		assert_int_equal(damage->offset,
				 i == 0 ? 0 : 5 * JOURNAL_BLOCK_SIZE);
		assert_null(damage->next);
		journal_close(&journal);
		journal = repair(false);
		assert_int_equal(test_journal.warnings, 1);
		assert_int_equal(test_journal_store(journal, n), 0);
		journal_close(&journal);
		journal = test_journal_open(true);
		assert_null(journal_get_damage(journal));
		assert_true(test_journal_has(journal, 0));
		assert_true(test_journal_has(journal, n));
		journal_close(&journal);
	}
}

/* The last segment, where the next record goes, is cut at every block, and in a record:
   what is there stays, and the loss is told once. */
static void lose_end(off_t size, bool repaired)
{
	struct journal *journal = test_journal_new();
	unsigned int n, there = 0;
	char path[600];
	struct stat st;

	for (n = 0; n < 5; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	journal_close(&journal);
	(void)snprintf(path, sizeof(path), "%s/journal/00000001.seg",
		       test_journal.dir);
	assert_int_equal(truncate(path, size), 0);
	journal = repaired ? repair(false) : test_journal_open(false);
	assert_true(test_journal.warnings > 0);
	for (n = 0; n < 5; n++)
		there += test_journal_has(journal, n) ? 1 : 0;
	assert_int_equal(there, size / JOURNAL_BLOCK_SIZE - 1);
	journal_close(&journal);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, TEST_JOURNAL_SEGMENT);

	test_journal.warnings = 0;
	for (n = 5; n < 8; n++) {
		journal = test_journal_open(true);
		assert_null(journal_get_damage(journal));
		journal_close(&journal);
		journal = test_journal_open(false);
		assert_int_equal(test_journal_store(journal, n), 0);
		journal_close(&journal);
	}
	assert_int_equal(test_journal.warnings, 0);
	journal = test_journal_open(true);
	assert_null(journal_get_damage(journal));
	for (n = 0, there += 3; n < 8; n++)
		there -= test_journal_has(journal, n) ? 1 : 0;
	assert_int_equal(there, 0);
	journal_close(&journal);
}

static void test_a_cut_segment_is_told_of_once(void **state ATTR_UNUSED)
{
	unsigned int i, blocks;

	for (i = 0; i < 2; i++) {
		for (blocks = 2; blocks < 6; blocks++) {
			lose_end(blocks * JOURNAL_BLOCK_SIZE, i > 0);
			lose_end(blocks * JOURNAL_BLOCK_SIZE + 100, i > 0);
		}
	}
}

static struct {
	bool fail;
	unsigned int lengthened;
} length;

static int failing_ftruncate(int fd, off_t size)
{
	if (length.fail) {
		errno = EIO;
		return -1;
	}
	length.lengthened++;
	/* by then a reader would take the reason for granted */
	assert_int_equal(test_journal_files_in("quarantine"), 1);
	return file_ops_system.ftruncate(fd, size);
}

/* What cannot be lengthened is not written in, and is told of again. */
static void test_a_cut_segment_that_stays(void **state ATTR_UNUSED)
{
	struct file_ops ops = file_ops_system;
	struct journal *journal = test_journal_new();
	char path[600];

	assert_int_equal(test_journal_store(journal, 0), 0);
	journal_close(&journal);
	(void)snprintf(path, sizeof(path), "%s/journal/00000001.seg",
		       test_journal.dir);
	assert_int_equal(truncate(path, 2 * JOURNAL_BLOCK_SIZE), 0);
	ops.ftruncate = failing_ftruncate;
	file_ops_set(&ops);
	length.fail = true;
	journal = test_journal_open(false);
	assert_int_equal(test_journal_store(journal, 1), 0);
	assert_int_equal(journal->active->header.number, 2);
	journal_close(&journal);
	/* a writer has told of it */
	journal = test_journal_open(true);
	assert_null(journal_get_damage(journal));
	journal_close(&journal);
	length.fail = false;
	journal = test_journal_open(false);
	assert_int_equal(length.lengthened, 1);
	assert_true(test_journal_has(journal, 0));
	assert_true(test_journal_has(journal, 1));
	journal_close(&journal);
	file_ops_set(NULL);
}

/* All that are cut get their length again at once. */
static void test_several_cut_segments(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	unsigned int i, n = 0;
	char path[600];
	struct stat st;

	while (test_journal_active(journal) < 4)
		assert_int_equal(test_journal_store(journal, n++), 0);
	journal_close(&journal);
	for (i = 1; i < 4; i++) {
		(void)snprintf(path, sizeof(path), "%s/journal/%08u.seg",
			       test_journal.dir, i);
		assert_int_equal(truncate(path, 5 * JOURNAL_BLOCK_SIZE), 0);
	}
	journal = test_journal_open(false);
	for (i = 1; i < 4; i++) {
		(void)snprintf(path, sizeof(path), "%s/journal/%08u.seg",
			       test_journal.dir, i);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_size, TEST_JOURNAL_SEGMENT);
		assert_false(journal->segments[i]->cut);
	}
	journal_close(&journal);
}

/* What is aside of one segment says nothing of another, and a record of it nothing of all
   of it: both are missing, and readers say so until a writer has told of them. */
static void test_what_is_known_to_be_missing(void **state ATTR_UNUSED)
{
	const struct journal_damage *damage;
	struct journal *journal = test_journal_new();
	unsigned int n = 0, lost, aside;
	char path[600];

	while (test_journal_active(journal) < 4)
		assert_int_equal(test_journal_store(journal, n++), 0);
	journal_close(&journal);
	/* a record of the last one is aside */
	test_journal_flip_in(3, JOURNAL_BLOCK_SIZE + JOURNAL_HEADER_SIZE + 8);
	test_journal_flip_in(3, TEST_JOURNAL_SEGMENT - 10);
	journal = test_journal_open(false);
	assert_true(test_journal_files_in("quarantine") > 0);
	journal_close(&journal);
	for (lost = 2; lost < 4; lost++) {
		(void)snprintf(path, sizeof(path), "%s/journal/%08u.seg",
			       test_journal.dir, lost);
		assert_int_equal(unlink(path), 0);
		journal = test_journal_open(true);
		damage = journal_get_damage(journal);
		assert_non_null(damage);
		assert_int_equal(damage->segment, lost);
		assert_null(damage->next);
		journal_close(&journal);
		journal = repair(false);
		journal_close(&journal);
		journal = test_journal_open(true);
		assert_null(journal_get_damage(journal));
		journal_close(&journal);
	}
	/* one that was put aside is not missing: the file, and why */
	aside = test_journal_files_in("quarantine");
	test_journal_flip(20);
	journal = repair(false);
	journal_close(&journal);
	assert_int_equal(test_journal_files_in("quarantine"), aside + 2);
	journal = test_journal_open(true);
	assert_null(journal_get_damage(journal));
	journal_close(&journal);
}

static ssize_t failing_pread(int fd, void *data, size_t size, off_t offset)
{
	/* the end of what a footer is looked for in */
	if (offset >= (off_t)(TEST_JOURNAL_SEGMENT - JOURNAL_BLOCK_SIZE)) {
		errno = EIO;
		return -1;
	}
	return file_ops_system.pread(fd, data, size, offset);
}

/* Of so many that who reads ahead waits when it ends. What could not be read is not taken
   for empty. */
static void test_a_read_that_fails(void **state ATTR_UNUSED)
{
	struct file_ops ops = file_ops_system;
	const struct journal_settings settings = {
		.segment_size = TEST_JOURNAL_SEGMENT
	};
	struct journal *journal = test_journal_new();
	unsigned int n = 0;
	char *error;

	while (test_journal_active(journal) < 20)
		assert_int_equal(test_journal_store(journal, n++), 0);
	journal_close(&journal);
	ops.pread = failing_pread;
	file_ops_set(&ops);
	journal = journal_open(test_journal.dir_fd, test_journal.dir, &settings,
			       &error);
	assert_int_equal(errno, EIO);
	assert_null(journal);
	assert_non_null(strstr(error, "reading segment 1 failed"));
	free(error);
	file_ops_set(NULL);
	journal = test_journal_open(false);
	for (n = 0; n < 200; n++)
		assert_true(test_journal_has(journal, n));
	journal_close(&journal);
}

/* Body and headers were written anew, and the body is damaged: the older version, which
   is whole, is not what was acknowledged last. */
static void test_a_damaged_body_of_a_rewrite(void **state ATTR_UNUSED)
{
	/* the payload, and the header, without which it is nobody's */
	static const unsigned int offsets[] = { JOURNAL_HEADER_SIZE + 8, 10 };
	struct journal_entry entry;
	struct test_journal_put put;
	struct journal *journal;
	size_t i;

	for (i = 0; i < N_ELEMENTS(offsets); i++) {
		journal = test_journal_new();
		assert_int_equal(test_journal_store(journal, 1), 0);
		test_journal_make_put(&put, 1, 2);
		assert_int_equal(journal_claim(journal,
					       &put.request.records[0].id,
					       &entry),
				 0);
		assert_int_equal(journal_commit(journal, &put.request), 0);
		journal_release(journal, &put.request.records[0].id);
		assert_int_equal(test_journal_store(journal, 3), 0);
		journal_close(&journal);
		test_journal_flip(2 * JOURNAL_BLOCK_SIZE + offsets[i]);
		journal = test_journal_open(false);
		assert_false(journal_find(journal, &put.request.records[0].id,
					  &entry));
		assert_true(test_journal_has(journal, 3));
		journal_close(&journal);
	}
}

/* The headers were written anew, and those are damaged that came with the body: without one
   there is no message, and another one of its id may come. */
static void test_headers_whose_body_nobody_knows(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	struct journal_request headers = { .count = 1 };
	struct journal_entry entry;
	struct test_journal_put put;

	assert_int_equal(test_journal_store(journal, 1), 0);
	test_journal_make_put(&put, 1, 2);
	headers.records[0] = put.request.records[1];
	headers.records[0].flags = 0;
	test_journal_commit_claimed(journal, &headers);
	assert_int_equal(test_journal_store(journal, 3), 0);
	journal_close(&journal);
	/* behind the body, and its own header */
	test_journal_flip(JOURNAL_BLOCK_SIZE + 2 * JOURNAL_ALIGN +
			  JOURNAL_HEADER_SIZE + 8);
	journal = test_journal_open(false);
	assert_true(test_journal.warnings > 0);
	assert_false(journal_find(journal, &headers.records[0].id, &entry));
	assert_int_equal(test_journal_store(journal, 1), 0);
	assert_true(test_journal_has(journal, 1));
	assert_true(test_journal_has(journal, 3));
	journal_close(&journal);
}

static struct {
	bool renamed;
	unsigned int synced; /* 1: quarantine, 2: journal */
} aside;

static int noting_renameat2(int old_dir_fd, const char *old_path,
			    int new_dir_fd, const char *new_path,
			    unsigned int flags)
{
	aside.renamed = aside.renamed ||
		(strncmp(new_path, "quarantine/", 11) == 0 &&
		 strcmp(new_path + strlen(new_path) - 4, ".seg") == 0);
	return file_ops_system.renameat2(old_dir_fd, old_path, new_dir_fd,
					 new_path, flags);
}

static int noting_fsync_dir(int dir_fd)
{
	static const char *const names[] = { "quarantine", "journal" };
	struct stat synced, st;
	unsigned int i;

	assert_int_equal(fstat(dir_fd, &synced), 0);
	for (i = 0; i < N_ELEMENTS(names) && aside.renamed; i++) {
		assert_int_equal(fstatat(test_journal.dir_fd, names[i], &st, 0),
				 0);
		if (st.st_ino == synced.st_ino)
			aside.synced |= 1u << i;
	}
	return file_ops_system.fsync_dir(dir_fd);
}

/* Both names: else a power cut might bring it back, or leave it nowhere. */
static void test_what_is_put_aside_is_durable(void **state ATTR_UNUSED)
{
	struct file_ops ops = file_ops_system;
	struct journal *journal = test_journal_new();

	assert_int_equal(test_journal_store(journal, 1), 0);
	journal_close(&journal);
	test_journal_flip(20);
	ops.renameat2 = noting_renameat2;
	ops.fsync_dir = noting_fsync_dir;
	file_ops_set(&ops);
	journal = repair(false);
	file_ops_set(NULL);
	assert_true(aside.renamed);
	assert_int_equal(aside.synced, 3);
	journal_close(&journal);
}

static void test_a_damaged_segment_among_others(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	unsigned int n, there = 0;

	for (n = 0; test_journal_files_in("journal") < 3; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	journal_close(&journal);
	test_journal_flip(20);
	journal = repair(false);
	assert_int_equal(test_journal_files_in("journal"), 2);
	assert_false(test_journal_has(journal, 0));
	assert_true(test_journal_has(journal, n - 1));
	for (n = 0; n < 1000; n++)
		there += test_journal_has(journal, n) ? 1 : 0;
	assert_true(there > 1);
	assert_int_equal(test_journal_store(journal, 1000), 0);
	journal_close(&journal);
	journal = test_journal_open(false);
	assert_true(test_journal_has(journal, 1000));
	for (n = 0; n < 1000; n++)
		there -= test_journal_has(journal, n) ? 1 : 0;
	assert_int_equal(there, 0);
	journal_close(&journal);
}

static void test_a_reader_names_damage(void **state ATTR_UNUSED)
{
	static const struct {
		unsigned int offset, at;
		bool known;
	} rows[] = {
		/* what comes first in a record is its header: then it is
		   nobody's */
		{ 10, 0, false },
		{ JOURNAL_HEADER_SIZE + 8, 0, true },
		{ 2 * JOURNAL_ALIGN + 20, 2 * JOURNAL_ALIGN, false },
		{ 3 * JOURNAL_ALIGN + 9, 2 * JOURNAL_ALIGN, true },
	};
	const struct journal_damage *damage;
	struct journal *journal;
	message_id id;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		make_three(rows[i].offset);
		journal = test_journal_open(true);
		damage = journal_get_damage(journal);
		assert_non_null(damage);
		assert_int_equal(damage->segment, 1);
		assert_int_equal(damage->offset,
				 2 * JOURNAL_BLOCK_SIZE + rows[i].at);
		test_journal_make_id(2, &id);
		assert_int_equal(message_id_cmp(&damage->id, &id) == 0,
				 rows[i].known);
		journal_close(&journal);
		/* what a writer has put aside is told of there */
		journal = test_journal_open(false);
		journal_close(&journal);
		journal = test_journal_open(true);
		assert_null(journal_get_damage(journal));
		journal_close(&journal);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_segments_are_read_at_once),
		cmocka_unit_test(test_footers),
		cmocka_unit_test(test_a_group_leaves_room_for_the_footer),
		cmocka_unit_test(test_a_segment_that_goes_on_gets_a_footer),
		cmocka_unit_test(test_damage_under_a_footer),
		cmocka_unit_test(test_a_segment_with_a_footer_is_full),
		cmocka_unit_test(
			test_a_footer_whose_last_record_is_in_two_blocks),
		cmocka_unit_test(test_a_damaged_segment_gets_no_footer),
		cmocka_unit_test(test_footers_that_cannot_be),
		cmocka_unit_test(test_a_footer_without_room),
		cmocka_unit_test(test_damage_is_put_aside),
		cmocka_unit_test(test_a_torn_tail_is_void),
		cmocka_unit_test(test_much_is_void),
		cmocka_unit_test(test_a_torn_void),
		cmocka_unit_test(test_damage_before_a_torn_tail),
		cmocka_unit_test(test_first_blocks),
		cmocka_unit_test(test_a_record_beyond_the_end),
		cmocka_unit_test(test_headers_behind_the_body_of_others),
		cmocka_unit_test(test_a_segment_under_another_name),
		cmocka_unit_test(test_a_first_block_that_cannot_be_read),
		cmocka_unit_test(test_a_damaged_segment_is_put_aside),
		cmocka_unit_test(test_no_directory_for_bodies),
		cmocka_unit_test(test_every_failing_call_of_a_start),
		cmocka_unit_test(test_what_a_segment_has_taken),
		cmocka_unit_test(test_a_journal_that_cannot_be_made),
		cmocka_unit_test(test_a_reader_leaves_the_next_segment),
		cmocka_unit_test(test_what_a_writer_moved),
		cmocka_unit_test(test_a_reader_that_was_overtaken),
		cmocka_unit_test(test_a_writer_that_is_faster),
		cmocka_unit_test(test_a_segment_that_was_not_listed),
		cmocka_unit_test(test_what_is_missing_is_damage),
		cmocka_unit_test(test_a_cut_segment_is_told_of_once),
		cmocka_unit_test(test_a_cut_segment_that_stays),
		cmocka_unit_test(test_several_cut_segments),
		cmocka_unit_test(test_what_is_known_to_be_missing),
		cmocka_unit_test(test_a_read_that_fails),
		cmocka_unit_test(test_a_damaged_body_of_a_rewrite),
		cmocka_unit_test(test_headers_whose_body_nobody_knows),
		cmocka_unit_test(test_what_is_put_aside_is_durable),
		cmocka_unit_test(test_a_damaged_segment_among_others),
		cmocka_unit_test(test_a_reader_names_damage),
	};

	return cmocka_run_group_tests_name("journal-start", tests, NULL, NULL);
}
