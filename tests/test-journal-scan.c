/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What a scan of a segment finds, record by record, and what is written again there. */

#include "config.h"
#include "crc32c.h"
#include "file-ops.h"
#include "journal/journal-scan.h"
#include "macros.h"
#include "mem.h"
#include "test-faults.h"
#include "test-journal-common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define MADE_SEGMENT ((uint64_t)3 * 1024 * 1024)

/* A segment by itself, in a file without records. */
struct made {
	struct journal_files files;
	struct journal_segment segment;
	struct journal_source source;
	struct journal_items items;
};

static void begin_made(struct made *made, uint64_t size)
{
	char name[JOURNAL_NAME_SIZE];
	int fd;

	memset(made, 0, sizeof(*made));
	test_journal_new_dir();
	journal_files_init(&made->files, false);
	made->files.dir_fd = test_journal.dir_fd;
	made->segment.header.size = size;
	made->segment.header.number = 1;
	made->segment.header.first_sequence = 1;
	memset(made->segment.header.incarnation, 7, JOURNAL_INCARNATION_SIZE);
	journal_segment_name(1, name);
	fd = openat(test_journal.dir_fd, name, O_CREAT | O_RDWR, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	made->segment.file = journal_file_new(&made->files, 1);
	journal_file_adopt(made->segment.file, fd);
	made->source.file = made->segment.file;
	made->source.size = size;
	memset(made->source.incarnation, 7, JOURNAL_INCARNATION_SIZE);
}

static void end_made(struct made *made)
{
	journal_items_free(&made->items);
	journal_file_free(&made->segment.file);
	journal_files_deinit(&made->files);
}

/* Writes a record with so many bytes, all alike; where it ends. */
static uint64_t make_record(struct made *made, uint64_t pos,
			    enum journal_type type, size_t size)
{
	unsigned char bytes[JOURNAL_HEADER_SIZE], *data;
	struct journal_header header;

	data = try_malloc(size + 1);
	assert_non_null(data);
	memset(data, 'x', size);
	memset(&header, 0, sizeof(header));
	header.type = type;
	header.stored_size = size;
	header.payload_crc = crc32c(0, data, size);
	journal_header_put(&header, made->segment.header.incarnation, bytes);
	assert_int_equal(journal_file_write(made->segment.file, bytes,
					    sizeof(bytes), pos),
			 0);
	if (size > 0 && type != JOURNAL_PADDING)
		assert_int_equal(journal_file_write(made->segment.file, data,
						    size, pos + sizeof(bytes)),
				 0);
	i_free(data);
	return pos + journal_record_size(&header);
}

/* What makes a scan look at more than it reads at once: a header in one part and its bytes in
   the next, some that are larger than a part, and nothing for long. */
static uint64_t make_large_ones(struct made *made)
{
	uint64_t pos = JOURNAL_BLOCK_SIZE;

	pos = make_record(made, pos, JOURNAL_BODY, 600 * 1024);
	pos = make_record(made, pos, JOURNAL_BODY, 600 * 1024);
	pos = make_record(made, pos, JOURNAL_UNLINK, JOURNAL_TARGET_SIZE);
	return make_record(made, pos + 900 * 1024, JOURNAL_BODY, 100);
}

/* A read that fails is no damage, wherever it is: nothing is known then. */
static void test_every_failing_read_of_a_scan(void **state ATTR_UNUSED)
{
	struct made made;
	unsigned int n, hit;
	int ret;

	begin_made(&made, MADE_SEGMENT);
	(void)make_large_ones(&made);
	TEST_EACH_CALL(n, hit) {
		test_faults_begin();
		test_faults.fail_at[TEST_OP_READ] = n;
		test_faults.fail_errno[TEST_OP_READ] = EIO;
		errno = 0;
		ret = journal_scan(&made.segment, &made.items);
		hit = test_faults.calls[TEST_OP_READ];
		assert_int_equal(ret, n <= hit ? -1 : 0);
		assert_true(n > hit || errno == EIO);
		test_faults_end();
		assert_int_equal(made.items.count, n <= hit ? 0 : 5);
		for (size_t i = 0; i < made.items.count; i++)
			assert_int_equal(made.items.items[i].state,
					 i == 3 ? JOURNAL_ITEM_GAP :
						  JOURNAL_ITEM_WHOLE);
		journal_items_free(&made.items);
	}
	assert_true(hit > 2);
	end_made(&made);
}

static void must_find(const struct made *made, size_t i,
		      enum journal_item_state state, uint64_t pos,
		      uint64_t size)
{
	const struct journal_item *item = &made->items.items[i];

	assert_true(i < made->items.count);
	assert_int_equal(item->state, state);
	assert_int_equal(item->pos, pos);
	assert_int_equal(item->size, size);
}

/* The smallest record, the last one, and one with less than its type has. */
static void test_records_at_their_limits(void **state ATTR_UNUSED)
{
	const uint64_t begin = JOURNAL_BLOCK_SIZE, size = JOURNAL_SEGMENT_MIN;
	const uint64_t room =
		size - begin - 3 * JOURNAL_ALIGN - JOURNAL_HEADER_SIZE;
	unsigned char byte = 1;
	struct journal_header header;
	struct made made;
	uint64_t pos;

	begin_made(&made, size);
	pos = make_record(&made, begin, JOURNAL_BODY, 0);
	assert_int_equal(pos, begin + JOURNAL_ALIGN);
	pos = make_record(&made, pos, JOURNAL_UNLINK, JOURNAL_TARGET_SIZE - 1);
	pos = make_record(&made, pos, JOURNAL_BODY, room);
	assert_int_equal(pos, size);
	assert_int_equal(journal_scan(&made.segment, &made.items), 0);
	assert_int_equal(made.items.count, 3);
	must_find(&made, 0, JOURNAL_ITEM_WHOLE, begin, JOURNAL_ALIGN);
	must_find(&made, 1, JOURNAL_ITEM_BAD, begin + JOURNAL_ALIGN,
		  2 * JOURNAL_ALIGN);
	must_find(&made, 2, JOURNAL_ITEM_WHOLE, begin + 3 * JOURNAL_ALIGN,
		  room + JOURNAL_HEADER_SIZE);
	journal_items_free(&made.items);
	/* the smallest one is lost, too */
	assert_int_equal(journal_file_write(made.segment.file, &byte, 1, begin),
			 0);
	assert_int_equal(journal_scan(&made.segment, &made.items), 0);
	assert_int_equal(made.items.count, 3);
	must_find(&made, 0, JOURNAL_ITEM_GAP, begin, JOURNAL_ALIGN);
	/* the same, one by one */
	errno = EIO;
	assert_false(journal_read_header(&made.source, begin, &header));
	assert_int_equal(errno, 0);
	pos = begin + 3 * JOURNAL_ALIGN;
	assert_true(journal_read_header(&made.source, pos, &header));
	assert_int_equal(header.stored_size, room);
	/* one that would end behind the segment is none */
	(void)make_record(&made, pos, JOURNAL_PADDING, room + 1);
	assert_false(journal_read_header(&made.source, pos, &header));
	assert_int_equal(errno, 0);
	end_made(&made);
}

/* A block that was written to a wrong place: its header speaks of what is not its own. */
static void test_what_a_wrong_record_hides(void **state ATTR_UNUSED)
{
	const uint64_t begin = JOURNAL_BLOCK_SIZE, size = JOURNAL_ALIGN;
	struct made made;
	uint64_t behind, pos;

	begin_made(&made, MADE_SEGMENT);
	behind = make_record(&made, begin, JOURNAL_BODY, 8192);
	(void)make_record(&made, behind, JOURNAL_BODY, 0);
	pos = make_record(&made, begin + 2 * size, JOURNAL_HEADERS, 10);
	/* and what one that is damaged itself does not hide */
	(void)make_record(&made, pos, JOURNAL_UNLINK, JOURNAL_TARGET_SIZE - 1);
	assert_int_equal(journal_scan(&made.segment, &made.items), 0);
	assert_int_equal(made.items.count, 5);
	must_find(&made, 0, JOURNAL_ITEM_BAD, begin, 2 * size);
	must_find(&made, 1, JOURNAL_ITEM_WHOLE, begin + 2 * size, 2 * size);
	must_find(&made, 2, JOURNAL_ITEM_BAD, pos, 2 * size);
	must_find(&made, 3, JOURNAL_ITEM_GAP, pos + 2 * size,
		  behind - pos - 2 * size);
	must_find(&made, 4, JOURNAL_ITEM_WHOLE, behind, size);
	journal_items_free(&made.items);
	end_made(&made);
}

/* They are a segment's first, in as many groups as there were failures. */
static void test_voids_of_several_groups(void **state ATTR_UNUSED)
{
	const uint64_t begin = JOURNAL_BLOCK_SIZE;
	const size_t padding = JOURNAL_BLOCK_SIZE - 3 * JOURNAL_ALIGN;
	struct made made;
	uint64_t pos;

	begin_made(&made, JOURNAL_SEGMENT_MIN);
	pos = make_record(&made, begin, JOURNAL_VOID, JOURNAL_TARGET_SIZE);
	pos = make_record(&made, pos, JOURNAL_PADDING, padding);
	assert_int_equal(pos, begin + JOURNAL_BLOCK_SIZE);
	pos = make_record(&made, pos, JOURNAL_VOID, JOURNAL_TARGET_SIZE);
	pos = make_record(&made, pos, JOURNAL_UNLINK, JOURNAL_TARGET_SIZE);
	(void)make_record(&made, pos, JOURNAL_VOID, JOURNAL_TARGET_SIZE);
	assert_int_equal(journal_scan_voids(&made.segment, &made.items), 0);
	assert_int_equal(made.items.count, 3);
	must_find(&made, 0, JOURNAL_ITEM_WHOLE, begin, 2 * JOURNAL_ALIGN);
	must_find(&made, 2, JOURNAL_ITEM_WHOLE, begin + JOURNAL_BLOCK_SIZE,
		  2 * JOURNAL_ALIGN);
	assert_int_equal(made.items.items[2].header.type, JOURNAL_VOID);
	assert_int_equal(made.items.items[2].target.offset, 0x78787878);
	end_made(&made);
}

/* A first block that is damaged says nothing of another writer. */
static void test_what_is_no_other_life(void **state ATTR_UNUSED)
{
	static const unsigned char noise[JOURNAL_HEADER_SIZE] = "noise";
	unsigned char bytes[JOURNAL_HEADER_SIZE];
	struct made made;

	begin_made(&made, JOURNAL_SEGMENT_MIN);
	journal_segment_header_put(&made.segment.header, bytes);
	assert_int_equal(journal_file_write(made.segment.file, bytes,
					    sizeof(bytes), 0),
			 0);
	assert_false(journal_source_has_changed(&made.source));
	assert_int_equal(journal_file_write(made.segment.file, noise,
					    sizeof(noise), 0),
			 0);
	assert_false(journal_source_has_changed(&made.source));
	made.segment.header.incarnation[15]++;
	journal_segment_header_put(&made.segment.header, bytes);
	assert_int_equal(journal_file_write(made.segment.file, bytes,
					    sizeof(bytes), 0),
			 0);
	assert_true(journal_source_has_changed(&made.source));
	end_made(&made);
}

/* One that says that it has no records is not looked through for any. */
static void test_one_without_records_is_not_read(void **state ATTR_UNUSED)
{
	struct made made;

	begin_made(&made, MADE_SEGMENT);
	(void)make_large_ones(&made);
	made.segment.header.first_sequence = 0;
	test_faults_begin();
	assert_int_equal(journal_scan(&made.segment, &made.items), 0);
	assert_int_equal(made.items.count, 0);
	assert_int_equal(journal_scan_voids(&made.segment, &made.items), 0);
	assert_int_equal(made.items.count, 0);
	assert_int_equal(journal_footer_read(&made.segment, &made.items), 0);
	assert_int_equal(test_faults.calls[TEST_OP_READ], 0);
	test_faults_end();
	end_made(&made);
}

/* Where writes began and ended. */
static struct {
	uint64_t begin, end;
} written;

static ssize_t noting_pwritev(int fd, const struct iovec *iov, int count,
			      off_t offset)
{
	ssize_t ret = file_ops_system.pwritev(fd, iov, count, offset);

	assert_true(ret > 0);
	written.begin = I_MIN(written.begin, (uint64_t)offset);
	written.end = I_MAX(written.end, (uint64_t)(offset + ret));
	return ret;
}

/* What is to be written again is, and nothing beside it, which is durable. */
static void test_what_is_written_again(void **state ATTR_UNUSED)
{
	static const uint64_t sizes[] = { JOURNAL_BLOCK_SIZE, 256 * 1024,
					  300 * 1024, 1024 * 1024 };
	const uint64_t begin = 3 * JOURNAL_BLOCK_SIZE;
	struct file_ops ops = file_ops_system;
	struct made made;
	size_t i;

	begin_made(&made, MADE_SEGMENT);
	(void)make_large_ones(&made);
	ops.pwritev = noting_pwritev;
	for (i = 0; i < N_ELEMENTS(sizes); i++) {
		written.begin = UINT64_MAX;
		written.end = 0;
		file_ops_set(&ops);
		assert_int_equal(journal_segment_rewrite(&made.segment, begin,
							 sizes[i]),
				 0);
		file_ops_set(NULL);
		assert_int_equal(written.begin, begin);
		assert_int_equal(written.end, begin + sizes[i]);
	}
	assert_int_equal(journal_scan(&made.segment, &made.items), 0);
	assert_int_equal(made.items.count, 5);
	end_made(&made);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_failing_read_of_a_scan),
		cmocka_unit_test(test_records_at_their_limits),
		cmocka_unit_test(test_what_a_wrong_record_hides),
		cmocka_unit_test(test_voids_of_several_groups),
		cmocka_unit_test(test_what_is_no_other_life),
		cmocka_unit_test(test_one_without_records_is_not_read),
		cmocka_unit_test(test_what_is_written_again),
	};

	return cmocka_run_group_tests_name("journal-scan", tests, NULL, NULL);
}
