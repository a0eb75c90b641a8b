/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The journal's records: what they say, and what makes no sense. */

#include "config.h"
#include "crc32c.h"
#include "endian-io.h"
#include "file-ops.h"
#include "macros.h"
#include "mem.h"
#include "test-journal-common.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void test_every_bit_of_a_header_counts(void **state ATTR_UNUSED)
{
	unsigned char incarnation[JOURNAL_INCARNATION_SIZE] = { 1, 2, 3 };
	unsigned char bytes[JOURNAL_HEADER_SIZE];
	struct journal_header header, got;
	unsigned int bit;

	memset(&header, 0, sizeof(header));
	header.type = JOURNAL_HEADERS;
	header.flags = JOURNAL_WITH_BODY;
	test_journal_make_id(7, &header.id);
	header.version = 0x0102030405060708;
	header.sequence = 0x1112131415161718;
	header.stored_size = 0x1234;
	header.plain_size = 0x2122232425262728;
	header.payload_crc = 0x31323334;
	header.stack_size = 5;
	journal_header_put(&header, incarnation, bytes);
	memset(&got, 0, sizeof(got));
	assert_true(journal_header_get(&got, incarnation, bytes));
	assert_memory_equal(&got, &header, sizeof(got));
	for (bit = 0; bit < sizeof(bytes) * 8; bit++) {
		bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
		assert_false(journal_header_get(&got, incarnation, bytes));
		bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
	}
	/* what another incarnation of the segment had is stale */
	incarnation[15] ^= 1;
	assert_false(journal_header_get(&got, incarnation, bytes));
}

/* Numbers with a byte of their own in each place. */
static void test_every_field_comes_back(void **state ATTR_UNUSED)
{
	static const struct journal_segment_header segment = {
		.incarnation = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
				 15, 16 },
		.size = JOURNAL_SEGMENT_MAX,
		.first_sequence = 0x0102030405060708,
		.number = 0x11121314
	};
	static const struct journal_target target = {
		.incarnation = { 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4,
				 3, 2, 1 },
		.offset = 0x21222324,
		.size = 0x31323334
	};
	struct journal_external external = { .tag = { 1, 2, 3, 4, 5, 6, 7, 8 },
					     .size = 0x4142434445464748 };
	unsigned char bytes[JOURNAL_HEADER_SIZE];
	struct journal_segment_header got_segment;
	struct journal_target got_target;
	struct journal_external got_external;

	memset(external.hash, 0x51, sizeof(external.hash));
	external.hash[31] = 0x52;
	memset(&got_segment, 0, sizeof(got_segment));
	journal_segment_header_put(&segment, bytes);
	assert_int_equal(journal_segment_header_get(&got_segment, bytes),
			 JOURNAL_SEGMENT_VALID);
	assert_memory_equal(&got_segment, &segment, sizeof(segment));
	journal_target_put(&target, bytes);
	journal_target_get(&got_target, bytes);
	assert_memory_equal(&got_target, &target, sizeof(target));
	journal_external_put(&external, bytes);
	journal_external_get(&got_external, bytes);
	assert_memory_equal(&got_external, &external, sizeof(external));
}

/* A checksum that is right does not make sense of what has none. */
static void test_headers_without_sense(void **state ATTR_UNUSED)
{
	static const struct {
		uint64_t size;
		enum journal_segment_state state;
	} segments[] = {
		{ JOURNAL_SEGMENT_MIN, JOURNAL_SEGMENT_VALID },
		{ JOURNAL_SEGMENT_MIN - JOURNAL_BLOCK_SIZE,
		  JOURNAL_SEGMENT_DAMAGED },
		{ JOURNAL_SEGMENT_MIN + JOURNAL_BLOCK_SIZE / 2,
		  JOURNAL_SEGMENT_DAMAGED },
		{ JOURNAL_SEGMENT_MAX, JOURNAL_SEGMENT_VALID },
		{ JOURNAL_SEGMENT_MAX + JOURNAL_BLOCK_SIZE,
		  JOURNAL_SEGMENT_DAMAGED },
	};
	static const unsigned char incarnation[JOURNAL_INCARNATION_SIZE];
	struct journal_segment_header segment;
	unsigned char bytes[JOURNAL_HEADER_SIZE];
	struct journal_header header, got;
	size_t i;

	memset(&segment, 0, sizeof(segment));
	for (i = 0; i < N_ELEMENTS(segments); i++) {
		segment.size = segments[i].size;
		journal_segment_header_put(&segment, bytes);
		assert_int_equal(journal_segment_header_get(&segment, bytes),
				 segments[i].state);
	}
	/* of a later version of the format; a checksum that is wrong says nothing */
	segment.size = JOURNAL_SEGMENT_MIN;
	journal_segment_header_put(&segment, bytes);
	bytes[15]++;
	assert_int_equal(journal_segment_header_get(&segment, bytes),
			 JOURNAL_SEGMENT_DAMAGED);
	put_le32(bytes + JOURNAL_HEADER_SIZE - 4,
		 crc32c(0, bytes, JOURNAL_HEADER_SIZE - 4));
	assert_int_equal(journal_segment_header_get(&segment, bytes),
			 JOURNAL_SEGMENT_NEWER);
	memset(&header, 0, sizeof(header));
	header.type = JOURNAL_BODY;
	header.stored_size = JOURNAL_SEGMENT_MAX;
	journal_header_put(&header, incarnation, bytes);
	assert_true(journal_header_get(&got, incarnation, bytes));
	/* the size of the record would be a small one */
	header.stored_size = UINT64_MAX - JOURNAL_HEADER_SIZE;
	journal_header_put(&header, incarnation, bytes);
	assert_false(journal_header_get(&got, incarnation, bytes));
	/* the same checksum of what begins as something else */
	header.stored_size = 1;
	journal_header_put(&header, incarnation, bytes);
	bytes[0] ^= 1;
	put_le32(bytes + JOURNAL_HEADER_SIZE - 4,
		 crc32c(crc32c(0, incarnation, sizeof(incarnation)), bytes,
			JOURNAL_HEADER_SIZE - 4));
	assert_false(journal_header_get(&got, incarnation, bytes));
}

/* A segment may be written anew after its place was looked up: what is there then is another
   message's record, or another one of this message. */
static void test_a_place_of_another_record(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	struct journal_entry entry, other, moved, old;
	char stack[JOURNAL_STACK_MAX + 1];
	struct journal_header header;
	unsigned char *data;
	message_id ids[2];
	unsigned int i;

	for (i = 0; i < 2; i++) {
		test_journal_make_id(i, &ids[i]);
		assert_int_equal(test_journal_store(journal, i), 0);
	}
	assert_true(journal_find(journal, &ids[0], &entry));
	assert_true(journal_find(journal, &ids[1], &other));
	for (i = 0; i < 2; i++) {
		moved = entry;
		moved.headers = i == 0 ? other.headers : entry.body;
		assert_true(journal_index_set(&journal->index, &moved, &old));
		assert_int_equal(journal_read(journal, &ids[0], JOURNAL_HEADERS,
					      &header, stack, &data),
				 -1);
		assert_int_equal(errno, EINVAL);
	}
	assert_true(journal_index_set(&journal->index, &entry, &old));
	assert_true(test_journal_has(journal, 0));
	journal_close(&journal);
}

/* The stack's name of the headers there has so many octets, and all checksums are right. */
static void lengthen_stack(const struct journal_segment *segment,
			   const struct journal_place *place, unsigned int size)
{
	unsigned char bytes[1024];
	struct journal_header header;
	FILE *file;
	long pos = (long)place->offset * JOURNAL_ALIGN;

	file = fopen(test_journal_segment(1), "r+");
	assert_non_null(file);
	assert_int_equal(fseek(file, pos, SEEK_SET), 0);
	assert_int_equal(fread(bytes, sizeof(bytes), 1, file), 1);
	assert_true(journal_header_get(&header, segment->header.incarnation,
				       bytes));
	header.stack_size = size;
	header.payload_crc = crc32c(0, bytes + JOURNAL_HEADER_SIZE,
				    size + (size_t)header.stored_size);
	journal_header_put(&header, segment->header.incarnation, bytes);
	assert_int_equal(fseek(file, pos, SEEK_SET), 0);
	assert_int_equal(fwrite(bytes, JOURNAL_HEADER_SIZE, 1, file), 1);
	assert_int_equal(fclose(file), 0);
}

/* Nobody has room for a longer name. */
static void test_a_stack_with_a_long_name(void **state ATTR_UNUSED)
{
	static const unsigned int sizes[] = { JOURNAL_STACK_MAX,
					      JOURNAL_STACK_MAX + 1, 255 };
	struct journal *journal = test_journal_new();
	struct journal_header header;
	struct journal_entry entry;
	unsigned char *data;
	char stack[256];
	message_id id;
	size_t i;
	int ret;

	test_journal_make_id(1, &id);
	assert_int_equal(test_journal_store(journal, 1), 0);
	assert_true(journal_find(journal, &id, &entry));
	for (i = 0; i < N_ELEMENTS(sizes); i++) {
		lengthen_stack(journal->segments[1], &entry.headers, sizes[i]);
		ret = journal_read(journal, &id, JOURNAL_HEADERS, &header,
				   stack, &data);
		assert_int_equal(ret, i == 0 ? 0 : -1);
		if (ret == 0)
			i_free(data);
		else
			assert_int_equal(errno, EINVAL);
	}
	journal_close(&journal);
}

/* However much of it comes with the header. */
static void test_records_of_every_size(void **state ATTR_UNUSED)
{
	static const size_t sizes[] = { 0,   1,   800,  899,  900,  901,
					952, 953, 1024, 4096, 20000 };
	struct journal *journal = test_journal_new();
	char stack[JOURNAL_STACK_MAX + 1];
	unsigned char *data, *got = NULL;
	struct journal_header header;
	struct test_journal_put put;
	size_t i;

	for (i = 0; i < N_ELEMENTS(sizes); i++) {
		data = test_data(TEST_DATA_RANDOM, sizes[i] + 1);
		test_journal_make_put(&put, (unsigned int)i, 1);
		put.request.records[0].stack = "a stack";
		put.request.records[0].data = data;
		put.request.records[0].size = sizes[i];
		test_journal_commit_claimed(journal, &put.request);
		assert_int_equal(
			journal_read(journal, &put.request.records[0].id,
				     JOURNAL_BODY, &header, stack, &got),
			0);
		assert_string_equal(stack, "a stack");
		assert_int_equal(header.stored_size, sizes[i]);
		assert_memory_equal(got + header.stack_size, data, sizes[i]);
		i_free(got);
		free(data);
	}
	journal_close(&journal);
}

/* Of a body in a file there is less than the record of one has, or one that is no such
   body: whatever the index says. */
static void test_a_record_of_no_file(void **state ATTR_UNUSED)
{
	static const struct {
		unsigned int flags;
		size_t size;
		int errno_;
	} rows[] = {
		{ JOURNAL_EXTERNAL, JOURNAL_EXTERNAL_SIZE, 0 },
		{ JOURNAL_EXTERNAL, JOURNAL_EXTERNAL_SIZE - 1, EINVAL },
		{ JOURNAL_EXTERNAL, 1, EINVAL },
		{ 0, JOURNAL_EXTERNAL_SIZE, EINVAL },
	};
	struct journal *journal = test_journal_new();
	struct journal_external external;
	struct journal_entry entry;
	struct test_journal_put put;
	const message_id *id;
	unsigned int i;
	int ret;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		test_journal_make_put(&put, i, 1);
		memset(put.body, 7, sizeof(put.body));
		put.request.records[0].size = rows[i].size;
		put.request.records[0].flags |= rows[i].flags;
		id = &put.request.records[0].id;
		assert_int_equal(journal_claim(journal, id, &entry), 0);
		assert_int_equal(journal_commit(journal, &put.request), 0);
		journal_release(journal, id);
		ret = journal_read_external(journal, id, &external);
		assert_int_equal(ret, rows[i].errno_ == 0 ? 0 : -1);
		if (ret < 0)
			assert_int_equal(errno, rows[i].errno_);
	}
	journal_close(&journal);
}

/* It says which record it kills. */
static void test_what_a_tombstone_says(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	unsigned char bytes[JOURNAL_TARGET_SIZE];
	struct journal_target target;
	struct journal_entry entry;
	message_id id;

	assert_int_equal(test_journal_store(journal, 1), 0);
	test_journal_make_id(1, &id);
	assert_true(journal_find(journal, &id, &entry));
	journal_make_target(journal, &entry.headers, bytes);
	journal_target_get(&target, bytes);
	assert_int_equal(target.offset, entry.headers.offset);
	assert_int_equal(target.size, 0);
	assert_memory_equal(target.incarnation,
			    journal->active->header.incarnation,
			    JOURNAL_INCARNATION_SIZE);
	journal_close(&journal);
}

/* A file that ends before the record does is damaged, and no read has failed: whatever errno
   was before. */
static void test_a_record_behind_the_files_end(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	char stack[JOURNAL_STACK_MAX + 1];
	struct journal_header header;
	unsigned char *data;
	message_id id;

	test_journal_make_id(1, &id);
	assert_int_equal(test_journal_store(journal, 1), 0);
	test_journal_cut(1, JOURNAL_BLOCK_SIZE);
	errno = EIO;
	assert_int_equal(journal_read(journal, &id, JOURNAL_HEADERS, &header,
				      stack, &data),
			 -1);
	assert_int_equal(errno, EINVAL);
	journal_close(&journal);
}

/* What is not there any more is not taken from the read before. */
static void test_a_record_that_was_cut(void **state ATTR_UNUSED)
{
	char stack[JOURNAL_STACK_MAX + 1];
	struct journal_header header;
	struct journal_entry entry;
	struct journal *journal;
	unsigned char *data;
	unsigned int n;
	message_id id;
	int ret;

	test_journal_make_id(1, &id);
	for (n = 0; n <= JOURNAL_HEADER_SIZE + 8; n += 8) {
		journal = test_journal_new();
		assert_int_equal(test_journal_store(journal, 1), 0);
		assert_true(journal_find(journal, &id, &entry));
		ret = journal_read(journal, &id, JOURNAL_HEADERS, &header,
				   stack, &data);
		assert_int_equal(ret, 0);
		i_free(data);
		test_journal_cut(
			1, (uint64_t)entry.headers.offset * JOURNAL_ALIGN + n);
		ret = journal_read(journal, &id, JOURNAL_HEADERS, &header,
				   stack, &data);
		assert_int_equal(ret, -1);
		assert_int_equal(errno, EINVAL);
		journal_close(&journal);
	}
}

/* Where reading fails, as the kernel does it: what is before can be had. */
static off_t bad_block;

static ssize_t bad_pread(int fd, void *data, size_t size, off_t offset)
{
	if (offset >= bad_block && offset < bad_block + JOURNAL_BLOCK_SIZE) {
		errno = EIO;
		return -1;
	}
	if (offset < bad_block)
		size = (size_t)I_MIN((off_t)size, bad_block - offset);
	return file_ops_system.pread(fd, data, size, offset);
}

/* A block that cannot be read is no matter of a record before it. */
static void test_beside_a_block_that_cannot_be_read(void **state ATTR_UNUSED)
{
	static unsigned char body[3300];
	struct journal *journal = test_journal_new();
	struct file_ops ops = file_ops_system;
	char stack[JOURNAL_STACK_MAX + 1];
	struct journal_header header;
	struct journal_entry entry;
	struct test_journal_put put;
	unsigned char *data;
	message_id ids[2];
	unsigned int i;

	test_journal_make_put(&put, 0, 1);
	put.request.records[0].data = body;
	put.request.records[0].size = sizeof(body);
	test_journal_commit_claimed(journal, &put.request);
	assert_int_equal(test_journal_store(journal, 1), 0);
	for (i = 0; i < 2; i++)
		test_journal_make_id(i, &ids[i]);
	assert_true(journal_find(journal, &ids[1], &entry));
	bad_block = (off_t)entry.body.offset * JOURNAL_ALIGN;
	assert_true(journal_find(journal, &ids[0], &entry));
	assert_in_range((off_t)entry.headers.offset * JOURNAL_ALIGN,
			bad_block - 1023, bad_block - 1);
	ops.pread = bad_pread;
	file_ops_set(&ops);
	assert_int_equal(journal_read(journal, &ids[0], JOURNAL_HEADERS,
				      &header, stack, &data),
			 0);
	i_free(data);
	assert_int_equal(journal_read(journal, &ids[1], JOURNAL_HEADERS,
				      &header, stack, &data),
			 -1);
	assert_int_equal(errno, EIO);
	file_ops_set(NULL);
	journal_close(&journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_bit_of_a_header_counts),
		cmocka_unit_test(test_every_field_comes_back),
		cmocka_unit_test(test_headers_without_sense),
		cmocka_unit_test(test_a_place_of_another_record),
		cmocka_unit_test(test_a_stack_with_a_long_name),
		cmocka_unit_test(test_records_of_every_size),
		cmocka_unit_test(test_a_record_of_no_file),
		cmocka_unit_test(test_what_a_tombstone_says),
		cmocka_unit_test(test_a_record_behind_the_files_end),
		cmocka_unit_test(test_a_record_that_was_cut),
		cmocka_unit_test(test_beside_a_block_that_cannot_be_read),
	};

	return cmocka_run_group_tests_name("journal-records", tests, NULL,
					   NULL);
}
