/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The journal by itself: groups, damage, segments that are written anew. What a power
   cut leaves is crash/test-crash-journal.c's. */

#include "config.h"
#include "io-infrastructure.h"
#include "journal/journal-private.h"
#include "mem.h"
#include "test-common.h"
#include "test-faults.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SMALL JOURNAL_SEGMENT_MIN

static int dir_fd = -1;
static char dir[512];
static unsigned int dir_number, warnings;

static void count_warning(void *context ATTR_UNUSED,
			  const char *text ATTR_UNUSED)
{
	warnings++;
}

static void new_dir(void)
{
	char name[32];

	if (dir_fd != -1)
		assert_int_equal(close(dir_fd), 0);
	(void)snprintf(name, sizeof(name), "journal%u", ++dir_number);
	(void)snprintf(dir, sizeof(dir), "%s", test_path(name));
	assert_int_equal(mkdir(dir, 0700), 0);
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY);
	assert_true(dir_fd >= 0);
	assert_int_equal(mkdirat(dir_fd, "quarantine", 0700), 0);
	assert_int_equal(journal_init(dir_fd), 0);
	warnings = 0;
}

static struct journal *open_dir(bool read_only)
{
	struct journal_settings settings = { .segment_size = SMALL,
					     .read_only = read_only,
					     .warning = count_warning };
	struct journal *journal;
	char *error;

	journal = journal_open(dir_fd, dir, &settings, &error);
	if (journal == NULL)
		fail_msg("%s", error);
	return journal;
}

static struct journal *new_journal(void)
{
	new_dir();
	return open_dir(false);
}

/* As spread as real ones are. */
static void make_id(unsigned int n, message_id *id)
{
	uint32_t random = n * 2654435761u + 1;
	unsigned int i;

	memset(id, 0, sizeof(*id));
	id->bytes[4] = (unsigned char)(n >> 24);
	id->bytes[5] = (unsigned char)(n >> 16);
	id->bytes[6] = (unsigned char)(n >> 8);
	id->bytes[7] = (unsigned char)n;
	for (i = 8; i < 16; i++)
		id->bytes[i] = (unsigned char)test_random(&random);
}

static void make_text(unsigned int n, const char *what, char text[64])
{
	(void)snprintf(text, 64, "%s of message %u", what, n);
}

struct put {
	struct journal_request request;
	char body[64], headers[64];
	unsigned int done;
	int error;
};

static void note_done(struct journal_request *request, int error)
{
	struct put *put = request->context;

	put->done++;
	put->error = error;
}

static void make_put(struct put *put, unsigned int n, uint64_t version)
{
	struct journal_record *record = put->request.records;
	unsigned int i;

	memset(put, 0, sizeof(*put));
	make_text(n, "body", put->body);
	make_text(n, "headers", put->headers);
	record[0].type = JOURNAL_BODY;
	record[0].data = put->body;
	record[0].size = strlen(put->body);
	record[1].type = JOURNAL_HEADERS;
	record[1].flags = JOURNAL_WITH_BODY;
	record[1].data = put->headers;
	record[1].size = strlen(put->headers);
	for (i = 0; i < 2; i++) {
		make_id(n, &record[i].id);
		record[i].version = version;
		record[i].stack = "plain";
	}
	put->request.count = 2;
	put->request.done = note_done;
	put->request.context = put;
}

/* 0, or the errno. */
static int store(struct journal *journal, unsigned int n)
{
	struct journal_entry entry;
	struct put put;
	int ret;

	make_put(&put, n, 1);
	assert_int_equal(
		journal_claim(journal, &put.request.records[0].id, &entry), 0);
	ret = journal_commit(journal, &put.request) < 0 ? errno : 0;
	journal_release(journal, &put.request.records[0].id);
	assert_int_equal(put.done, 1);
	assert_int_equal(put.error, ret);
	return ret;
}

static int drop(struct journal *journal, unsigned int n)
{
	unsigned char target[JOURNAL_TARGET_SIZE];
	struct journal_request request = { .count = 1 };
	struct journal_entry entry;
	int ret = 0;

	request.records[0].type = JOURNAL_UNLINK;
	make_id(n, &request.records[0].id);
	assert_int_equal(journal_claim(journal, &request.records[0].id, &entry),
			 0);
	assert_true(entry.headers.offset != 0);
	journal_make_target(journal, &entry.headers, target);
	request.records[0].data = target;
	request.records[0].size = sizeof(target);
	if (journal_commit(journal, &request) < 0)
		ret = errno;
	journal_release(journal, &request.records[0].id);
	return ret;
}

static bool has_record(struct journal *journal, unsigned int n,
		       enum journal_type type, const char *what)
{
	char stack[JOURNAL_STACK_MAX + 1], text[64];
	struct journal_header header;
	unsigned char *payload;
	message_id id;

	make_id(n, &id);
	if (journal_read(journal, &id, type, &header, stack, &payload) < 0) {
		assert_int_equal(errno, ENOENT);
		return false;
	}
	make_text(n, what, text);
	assert_string_equal(stack, "plain");
	assert_int_equal(header.stored_size, strlen(text));
	assert_memory_equal(payload + header.stack_size, text, strlen(text));
	i_free(payload);
	return true;
}

static bool has(struct journal *journal, unsigned int n)
{
	bool headers = has_record(journal, n, JOURNAL_HEADERS, "headers");

	assert_int_equal(has_record(journal, n, JOURNAL_BODY, "body"), headers);
	return headers;
}

static unsigned int files_in(const char *name)
{
	char path[600];
	struct dirent *entry;
	unsigned int count = 0;
	DIR *listing;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	listing = opendir(path);
	assert_non_null(listing);
	while ((entry = readdir(listing)) != NULL)
		count += entry->d_name[0] != '.' &&
			strcmp(entry->d_name, "bodies") != 0;
	assert_int_equal(closedir(listing), 0);
	return count;
}

/*
 * Format
 */

static void test_every_bit_of_a_header_counts(void **state ATTR_UNUSED)
{
	unsigned char incarnation[JOURNAL_INCARNATION_SIZE] = { 1, 2, 3 };
	unsigned char bytes[JOURNAL_HEADER_SIZE];
	struct journal_header header, got;
	unsigned int bit;

	memset(&header, 0, sizeof(header));
	header.type = JOURNAL_HEADERS;
	header.flags = JOURNAL_WITH_BODY;
	make_id(7, &header.id);
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

/*
 * Storing
 */

static void test_stored_and_there_after_reopening(void **state ATTR_UNUSED)
{
	struct journal *journal = new_journal();
	unsigned int n;

	for (n = 0; n < 8; n++)
		assert_int_equal(store(journal, n), 0);
	for (n = 0; n < 8; n += 4)
		assert_int_equal(drop(journal, n), 0);
	for (n = 0; n < 8; n++)
		assert_int_equal(has(journal, n), n % 4 != 0);
	journal_close(&journal);
	journal = open_dir(true);
	for (n = 0; n < 8; n++)
		assert_int_equal(has(journal, n), n % 4 != 0);
	journal_close(&journal);
	journal = open_dir(false);
	/* it goes on where it stood */
	assert_int_equal(store(journal, 8), 0);
	for (n = 0; n < 9; n++)
		assert_int_equal(has(journal, n), n % 4 != 0 || n == 8);
	journal_close(&journal);
	assert_int_equal(files_in("journal"), 1);
	assert_int_equal(files_in("quarantine"), 0);
	assert_int_equal(warnings, 0);
}

/* Dead segments are written anew: a spool does not grow by what is gone. */
static void test_segments_are_written_anew(void **state ATTR_UNUSED)
{
	struct journal *journal = new_journal();
	unsigned int n;

	for (n = 0; n < 500; n++) {
		assert_int_equal(store(journal, n), 0);
		if (n >= 5)
			assert_int_equal(drop(journal, n - 5), 0);
	}
	assert_true(files_in("journal") <= 3);
	for (n = 0; n < 500; n++)
		assert_int_equal(has(journal, n), n >= 495);
	journal_close(&journal);
	journal = open_dir(false);
	for (n = 0; n < 500; n++)
		assert_int_equal(has(journal, n), n >= 495);
	journal_close(&journal);
	assert_int_equal(files_in("quarantine"), 0);
}

static void test_too_large_is_refused(void **state ATTR_UNUSED)
{
	struct journal *journal = new_journal();
	unsigned char *data = calloc(1, SMALL);
	struct put put;

	assert_non_null(data);
	make_put(&put, 1, 1);
	put.request.records[0].data = data;
	put.request.records[0].size = SMALL;
	assert_int_equal(journal_commit(journal, &put.request), -1);
	assert_int_equal(errno, EFBIG);
	assert_int_equal(put.error, EFBIG);
	/* the largest one does go in */
	make_put(&put, 2, 1);
	put.request.records[0].data = data;
	put.request.records[0].size = (size_t)journal_max_size(journal);
	assert_int_equal(journal_commit(journal, &put.request), 0);
	assert_int_equal(store(journal, 3), 0);
	assert_true(has(journal, 3));
	journal_close(&journal);
	free(data);
}

/*
 * Groups: the sync is held, and counted
 */

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool held;
	unsigned int inside, syncs;
} gate = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0, 0 };

static int held_fdatasync(int fd)
{
	(void)pthread_mutex_lock(&gate.mutex);
	gate.syncs++;
	gate.inside++;
	(void)pthread_cond_broadcast(&gate.changed);
	while (gate.held)
		(void)pthread_cond_wait(&gate.changed, &gate.mutex);
	gate.inside--;
	(void)pthread_mutex_unlock(&gate.mutex);
	return file_ops_system.fdatasync(fd);
}

static void set_gate(bool held)
{
	(void)pthread_mutex_lock(&gate.mutex);
	gate.held = held;
	(void)pthread_cond_broadcast(&gate.changed);
	(void)pthread_mutex_unlock(&gate.mutex);
}

static void wait_for_sync(void)
{
	(void)pthread_mutex_lock(&gate.mutex);
	while (gate.inside == 0)
		(void)pthread_cond_wait(&gate.changed, &gate.mutex);
	(void)pthread_mutex_unlock(&gate.mutex);
}

#define MANY 64

static struct put many[MANY];

static void *submit_first(void *journal)
{
	journal_submit(journal, &many[0].request);
	return NULL;
}

static uint64_t sum(const uint64_t histogram[SPOOL_HISTOGRAM_SIZE])
{
	uint64_t all = 0;
	unsigned int i;

	for (i = 0; i < SPOOL_HISTOGRAM_SIZE; i++)
		all += histogram[i];
	return all;
}

/* What the next test did: groups of 1, 1 and 63. */
static void must_have_counted(struct journal *journal)
{
	struct spool_stats stats;

	assert_int_equal(journal_get_stats(journal, &stats), 0);
	assert_int_equal(stats.group_changes[0], 2);
	assert_int_equal(stats.group_changes[5], 1);
	assert_int_equal(sum(stats.group_changes), 3);
	assert_int_equal(sum(stats.sync_usecs), 3);
	assert_int_equal(stats.failed_groups, 0);
	assert_int_equal(stats.live_segments, 1);
	assert_int_equal(stats.dead_segments + stats.cut_segments, 0);
	assert_int_equal(stats.live_records, 2 * (MANY + 1));
	assert_int_equal(stats.records, stats.live_records);
	assert_true(stats.segment_bytes > 0);
}

static void test_what_gathers_is_one_group(void **state ATTR_UNUSED)
{
	struct file_ops ops = file_ops_system;
	struct journal *journal = new_journal();
	pthread_t thread;
	unsigned int n;

	assert_int_equal(store(journal, 1000), 0); /* the segment is there */
	ops.fdatasync = held_fdatasync;
	file_ops_set(&ops);
	gate.syncs = 0;
	set_gate(true);
	for (n = 0; n < MANY; n++)
		make_put(&many[n], n, 1);
	assert_int_equal(pthread_create(&thread, NULL, submit_first, journal),
			 0);
	wait_for_sync();
	/* these find somebody at it, and do not wait */
	for (n = 1; n < MANY; n++)
		journal_submit(journal, &many[n].request);
	for (n = 0; n < MANY; n++) {
		assert_int_equal(many[n].done, 0);
		/* and nothing is believed before its sync */
		assert_false(has(journal, n));
	}
	set_gate(false);
	assert_int_equal(pthread_join(thread, NULL), 0);
	file_ops_set(NULL);
	for (n = 0; n < MANY; n++) {
		assert_int_equal(many[n].done, 1);
		assert_int_equal(many[n].error, 0);
		assert_true(has(journal, n));
	}
	assert_int_equal(gate.syncs, 2);
	must_have_counted(journal);
	journal_close(&journal);
}

struct writer {
	struct journal *journal;
	unsigned int first;
};

static void *write_some(void *context)
{
	struct writer *writer = context;
	unsigned int n;

	for (n = 0; n < 50; n++) {
		if (store(writer->journal, writer->first + n) != 0)
			return writer;
		if (n % 2 == 1 && drop(writer->journal, writer->first + n) != 0)
			return writer;
	}
	return NULL;
}

static void test_many_writers(void **state ATTR_UNUSED)
{
	struct journal *journal = new_journal();
	struct writer writers[4];
	pthread_t threads[4];
	unsigned int i, n;
	void *failed;

	for (i = 0; i < 4; i++) {
		writers[i].journal = journal;
		writers[i].first = i * 1000;
		assert_int_equal(pthread_create(&threads[i], NULL, write_some,
						&writers[i]),
				 0);
	}
	for (i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	journal_close(&journal);
	journal = open_dir(false);
	for (i = 0; i < 4; i++) {
		for (n = 0; n < 50; n++)
			assert_int_equal(has(journal, i * 1000 + n),
					 n % 2 == 0);
	}
	journal_close(&journal);
}

/*
 * What fails
 */

static void test_a_failed_sync_is_void(void **state ATTR_UNUSED)
{
	static const enum test_op ops[] = { TEST_OP_FDATASYNC, TEST_OP_WRITE };
	struct spool_stats stats;
	struct journal *journal;
	size_t i;

	for (i = 0; i < N_ELEMENTS(ops); i++) {
		journal = new_journal();
		assert_int_equal(store(journal, 1), 0);
		test_faults_begin();
		test_faults.fail_at[ops[i]] = 1;
		test_faults.fail_errno[ops[i]] = EIO;
		assert_int_equal(store(journal, 2), EIO);
		test_faults_end();
		assert_false(has(journal, 2));
		assert_int_equal(store(journal, 3), 0);
		assert_int_equal(journal_get_stats(journal, &stats), 0);
		assert_int_equal(stats.failed_groups, 1);
		assert_int_equal(stats.group_changes[0], 2);
		/* and what says so, for nobody */
		assert_int_equal(sum(stats.sync_usecs), 3);
		journal_close(&journal);
		journal = open_dir(false);
		assert_true(has(journal, 1));
		/* its bytes may well be there: nobody was promised them */
		assert_false(has(journal, 2));
		assert_true(has(journal, 3));
		assert_int_equal(store(journal, 4), 0);
		journal_close(&journal);
		assert_int_equal(files_in("journal"), 2);
		assert_int_equal(files_in("quarantine"), 0);
	}
}

static void test_two_failures_are_enough(void **state ATTR_UNUSED)
{
	struct journal *journal = new_journal();

	assert_int_equal(store(journal, 1), 0);
	test_faults_begin();
	test_faults.fail_at[TEST_OP_FDATASYNC] = 1;
	test_faults.fail_errno[TEST_OP_FDATASYNC] = EIO;
	assert_int_equal(store(journal, 2), EIO);
	test_faults.calls[TEST_OP_FDATASYNC] = 0;
	/* the next segment is made, and then its first group fails */
	test_faults.fail_at[TEST_OP_FDATASYNC] = 2;
	assert_int_equal(store(journal, 3), EIO);
	test_faults_end();
	assert_int_equal(warnings, 1);
	assert_int_equal(store(journal, 4), EIO);
	assert_true(has(journal, 1));
	journal_close(&journal);
	journal = open_dir(false);
	assert_true(has(journal, 1));
	assert_int_equal(store(journal, 5), 0);
	journal_close(&journal);
}

/* A full disk: no segment can be made, and nothing is left of the try. */
static void test_a_full_disk(void **state ATTR_UNUSED)
{
	static const enum test_op ops[] = { TEST_OP_OPEN, TEST_OP_WRITE,
					    TEST_OP_FDATASYNC, TEST_OP_RENAME,
					    TEST_OP_FSYNC_DIR };
	struct journal *journal = new_journal();
	size_t i;

	for (i = 0; i < N_ELEMENTS(ops); i++) {
		test_faults_begin();
		test_faults.fail_at[ops[i]] = 1;
		test_faults.fail_errno[ops[i]] = ENOSPC;
		assert_int_equal(store(journal, 1), ENOSPC);
		test_faults_end();
		assert_int_equal(files_in("journal"), 0);
	}
	assert_int_equal(store(journal, 1), 0);
	assert_true(has(journal, 1));
	journal_close(&journal);
}

static void flip(uint64_t offset)
{
	char path[600], c;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/journal/00000001.seg", dir);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &c, 1, (off_t)offset), 1);
	c = (char)(c ^ 4);
	assert_int_equal(pwrite(fd, &c, 1, (off_t)offset), 1);
	assert_int_equal(close(fd), 0);
}

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
	if (offset == SMALL - 64) {
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
	*journal_r = open_dir(false);
	file_ops_set(NULL);
	assert_true(readers.most >= wanted);
	return readers.bytes;
}

#define FILLED 100

/* Some segments with messages, rewrites and tombstones. */
static void fill_segments(void)
{
	struct journal *journal = new_journal();
	unsigned int n;

	for (n = 0; n < FILLED; n++) {
		assert_int_equal(store(journal, n), 0);
		if (n % 5 == 4)
			assert_int_equal(drop(journal, n - 2), 0);
	}
	assert_true(files_in("journal") > 6);
	journal_close(&journal);
}

static void must_be_filled(struct journal *journal)
{
	unsigned int n;

	for (n = 0; n < FILLED; n++)
		assert_int_equal(has(journal, n), n % 5 != 2);
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
	count = files_in("journal");
	for (i = 1; i <= count; i++) {
		(void)snprintf(path, sizeof(path), "%s/journal/%08u.seg", dir,
			       i);
		fd = open(path, O_RDWR);
		assert_true(fd >= 0);
		assert_int_equal(pwrite(fd, "damaged", 7, SMALL - 10), 7);
		assert_int_equal(close(fd), 0);
	}
	without = open_with_readers(&journal, 0);
	must_be_filled(journal);
	/* the last one is read whole anyway */
	assert_true(without - with >= (uint64_t)(count - 2) * SMALL / 2);
	assert_int_equal(store(journal, FILLED), 0);
	journal_close(&journal);
	journal = open_dir(false);
	must_be_filled(journal);
	assert_true(has(journal, FILLED));
	assert_int_equal(warnings, 0);
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
	flip(JOURNAL_BLOCK_SIZE + JOURNAL_HEADER_SIZE + 8);
	journal = open_dir(false);
	make_id(0, &id);
	for (n = 0; n < 2; n++) {
		assert_int_equal(journal_read(journal, &id, JOURNAL_BODY,
					      &header, stack, &payload),
				 -1);
		assert_int_equal(errno, EINVAL);
		/* the bytes and the reason, and one word of it */
		assert_int_equal(files_in("quarantine"), 2);
		assert_int_equal(warnings, 1);
	}
	for (n = 1; n < FILLED; n++)
		assert_int_equal(has(journal, n), n % 5 != 2);
	journal_close(&journal);
}

/* Or the next start would not see what came behind it. */
static void test_a_segment_with_a_footer_is_full(void **state ATTR_UNUSED)
{
	struct journal *journal = new_journal();
	unsigned char data[20000] = { 0 };
	struct put put;
	unsigned int n;

	for (n = 0; n < 10; n++)
		assert_int_equal(store(journal, n), 0);
	/* this one has no room, and there cannot be another segment */
	make_put(&put, 10, 1);
	put.request.records[0].data = data;
	put.request.records[0].size = sizeof(data);
	test_faults_begin();
	test_faults.fail_at[TEST_OP_OPEN] = 1;
	test_faults.fail_errno[TEST_OP_OPEN] = ENOSPC;
	assert_int_equal(journal_commit(journal, &put.request), -1);
	test_faults_end();
	assert_int_equal(files_in("journal"), 1);
	journal_close(&journal);
	journal = open_dir(false);
	assert_int_equal(store(journal, 11), 0);
	journal_close(&journal);
	journal = open_dir(false);
	for (n = 0; n < 12; n++)
		assert_int_equal(has(journal, n), n != 10);
	journal_close(&journal);
}

/* A rewrite that is damaged overrules what it came after; only who reads the segment whole
   knows that. */
static void test_a_damaged_segment_gets_no_footer(void **state ATTR_UNUSED)
{
	struct journal *journal = new_journal();
	struct journal_entry entry;
	struct put put;
	unsigned int n;

	assert_int_equal(store(journal, 1), 0);
	make_put(&put, 1, 2);
	assert_int_equal(
		journal_claim(journal, &put.request.records[0].id, &entry), 0);
	assert_int_equal(journal_commit(journal, &put.request), 0);
	journal_release(journal, &put.request.records[0].id);
	assert_int_equal(store(journal, 2), 0);
	journal_close(&journal);
	/* the payload of the second version's headers */
	flip(2 * JOURNAL_BLOCK_SIZE + 3 * JOURNAL_ALIGN + 9);
	journal = open_dir(false);
	assert_false(has(journal, 1));
	/* it goes on in the same segment, which gets full */
	for (n = 3; n < 25; n++)
		assert_int_equal(store(journal, n), 0);
	journal_close(&journal);
	journal = open_dir(false);
	assert_false(has(journal, 1));
	for (n = 2; n < 25; n++)
		assert_true(has(journal, n));
	journal_close(&journal);
}

/* After two failures in a row nothing is taken, until later a probe succeeds: what had
   failed is void then. */
static void test_a_probe_ends_the_refusal(void **state ATTR_UNUSED)
{
	struct journal *journal = new_journal();
	unsigned int n;

	assert_int_equal(store(journal, 1), 0);
	for (n = 2; n < 4; n++) {
		test_faults_begin();
		/* the group's, and the one that is to say what is void */
		test_faults.fail_at[TEST_OP_FDATASYNC] = n == 2 ? 1 : 2;
		test_faults.fail_errno[TEST_OP_FDATASYNC] = EIO;
		assert_int_equal(store(journal, n), EIO);
		test_faults_end();
	}
	assert_int_equal(warnings, 1);
	assert_int_equal(store(journal, 4), EIO);
	assert_int_equal(drop(journal, 1), EIO);
	assert_true(has(journal, 1));
	journal->probe_at = 0;
	assert_int_equal(store(journal, 5), 0);
	assert_int_equal(warnings, 2);
	for (n = 1; n < 6; n++)
		assert_int_equal(has(journal, n), n == 1 || n == 5);
	journal_close(&journal);
	journal = open_dir(false);
	for (n = 1; n < 6; n++)
		assert_int_equal(has(journal, n), n == 1 || n == 5);
	journal_close(&journal);
	assert_int_equal(files_in("quarantine"), 0);
}

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
		(void)snprintf(path, sizeof(path), "%s/journal/%08u.seg", dir,
			       i);
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
			assert_int_equal(drop(journal, n), 0);
	}
}

static void must_have_the_rest(struct journal *journal, unsigned int end)
{
	unsigned int n;

	for (n = 0; n < end; n++)
		assert_int_equal(has(journal, n), KEEPS(n));
}

static void test_compaction_gives_space_back(void **state ATTR_UNUSED)
{
	struct journal *journal = new_journal();
	uint64_t before, moved;
	unsigned int n, files;

	for (n = 0; n < 200; n++)
		assert_int_equal(store(journal, n), 0);
	drop_most(journal, 200);
	before = disk_use();
	files = files_in("journal");
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_true(moved >= 20);
	must_have_the_rest(journal, 200);
	/* the 22 that are left, the active one, two spare ones, and of the others
	   a block each */
	assert_true(before > 20 * SMALL);
	assert_true(disk_use() <= 7 * SMALL + files * JOURNAL_BLOCK_SIZE);
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_int_equal(moved, 0);
	journal_close(&journal);
	journal = open_dir(false);
	must_have_the_rest(journal, 200);
	/* those that were moved can be removed, and stay away */
	assert_int_equal(drop(journal, 1), 0);
	assert_int_equal(drop(journal, 10), 0);
	/* and what was cut is used again */
	for (n = 200; n < 500; n++)
		assert_int_equal(store(journal, n), 0);
	assert_true(files_in("journal") < files + 300 / 15);
	journal_close(&journal);
	journal = open_dir(false);
	for (n = 0; n < 500; n++)
		assert_int_equal(has(journal, n),
				 n >= 200 || (KEEPS(n) && n > 10));
	journal_close(&journal);
	assert_int_equal(files_in("quarantine"), 0);
	assert_int_equal(warnings, 0);
}

static void fill_active(struct journal *journal, unsigned int *n)
{
	while (journal_segment_has_room(journal->active, journal->active->pos,
					JOURNAL_BLOCK_SIZE, 2))
		assert_int_equal(store(journal, (*n)++), 0);
}

/* 13: a segment whose blocks were given back waits until there is space for them. */
static void test_no_space_for_blocks_again(void **state ATTR_UNUSED)
{
	struct journal *journal = new_journal();
	unsigned int n, first, files;
	uint64_t moved, used;

	for (n = 0; n < 200; n++)
		assert_int_equal(store(journal, n), 0);
	for (n = 0; n < 200; n++)
		assert_int_equal(drop(journal, n), 0);
	assert_int_equal(journal_compact(journal, &moved), 0);
	files = files_in("journal");
	/* what has its blocks is used first; then one got them again */
	used = disk_use();
	for (first = n; disk_use() == used;)
		assert_int_equal(store(journal, n++), 0);
	fill_active(journal, &n);
	used = disk_use();
	test_faults_begin();
	/* the footer's write comes before */
	test_faults.fail_at[TEST_OP_WRITE] = 2;
	test_faults.fail_errno[TEST_OP_WRITE] = ENOSPC;
	assert_int_equal(store(journal, 9999), ENOSPC);
	test_faults_end();
	assert_int_equal(files_in("journal"), files);
	assert_true(disk_use() <= used);
	/* and service goes on */
	assert_int_equal(store(journal, n++), 0);
	assert_int_equal(files_in("journal"), files);
	journal_close(&journal);
	journal = open_dir(false);
	for (; first < n; first++)
		assert_true(has(journal, first));
	assert_false(has(journal, 9999));
	journal_close(&journal);
	assert_int_equal(warnings, 0);
}

/* What cannot be read is left where it is, and its segment. */
static void test_compaction_leaves_what_is_damaged(void **state ATTR_UNUSED)
{
	struct journal *journal = new_journal();
	uint64_t moved;
	unsigned int n;

	for (n = 0; n < 60; n++)
		assert_int_equal(store(journal, n), 0);
	drop_most(journal, 60);
	/* the body of message 1 */
	flip(2 * JOURNAL_BLOCK_SIZE + JOURNAL_HEADER_SIZE + 8);
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_true(moved > 0);
	for (n = 2; n < 60; n++)
		assert_int_equal(has(journal, n), KEEPS(n));
	assert_int_equal(files_in("quarantine"), 2);
	journal_close(&journal);
}

static void *read_the_rest(void *journal)
{
	unsigned int i, n;

	for (i = 0; i < 50; i++) {
		for (n = 0; n < 200; n++) {
			if (KEEPS(n) && !has(journal, n))
				return journal;
		}
	}
	return NULL;
}

/* Others read and write meanwhile, and nothing comes back. */
static void test_compaction_while_others_work(void **state ATTR_UNUSED)
{
	struct journal *journal = new_journal();
	pthread_t reader;
	uint64_t moved;
	void *failed;
	unsigned int n;

	for (n = 0; n < 200; n++)
		assert_int_equal(store(journal, n), 0);
	drop_most(journal, 200);
	assert_int_equal(pthread_create(&reader, NULL, read_the_rest, journal),
			 0);
	assert_int_equal(journal_compact(journal, &moved), 0);
	for (n = 200; n < 300; n++) {
		assert_int_equal(store(journal, n), 0);
		assert_int_equal(drop(journal, n), 0);
		assert_int_equal(journal_compact(journal, &moved), 0);
	}
	assert_int_equal(pthread_join(reader, &failed), 0);
	assert_null(failed);
	journal_close(&journal);
	journal = open_dir(false);
	must_have_the_rest(journal, 200);
	for (n = 200; n < 300; n++)
		assert_false(has(journal, n));
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
	struct journal_settings settings = { .segment_size = SMALL,
					     .upkeep = true };
	struct file_ops ops = file_ops_system;
	struct journal *journal;
	char *error;
	unsigned int n;

	new_dir();
	ops.ftruncate = counting_ftruncate;
	file_ops_set(&ops);
	upkeep.cuts = 0;
	journal = journal_open(dir_fd, dir, &settings, &error);
	assert_non_null(journal);
	for (n = 0; n < 300; n++)
		assert_int_equal(store(journal, n), 0);
	drop_most(journal, 300);
	(void)pthread_mutex_lock(&upkeep.mutex);
	while (upkeep.cuts < 5)
		(void)pthread_cond_wait(&upkeep.changed, &upkeep.mutex);
	(void)pthread_mutex_unlock(&upkeep.mutex);
	must_have_the_rest(journal, 300);
	journal_close(&journal);
	file_ops_set(NULL);
	journal = open_dir(false);
	must_have_the_rest(journal, 300);
	journal_close(&journal);
}

/*
 * Damage
 */

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
		journal = new_journal();
		assert_int_equal(store(journal, 1), 0);
		assert_int_equal(store(journal, 2), 0);
		assert_int_equal(store(journal, 3), 0);
		journal_close(&journal);
		flip(2 * JOURNAL_BLOCK_SIZE + rows[i].offset);
		journal = open_dir(true);
		assert_false(has(journal, 2));
		journal_close(&journal);
		assert_int_equal(files_in("quarantine"), 0);
		journal = open_dir(false);
		if (has(journal, 2) || !has(journal, 1) || !has(journal, 3))
			fail_msg("%s", rows[i].what);
		assert_true(warnings > 0);
		assert_true(files_in("quarantine") >= 2);
		assert_int_equal(store(journal, 4), 0);
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
		journal = new_journal();
		assert_int_equal(store(journal, 1), 0);
		assert_int_equal(store(journal, 2), 0);
		journal_close(&journal);
		flip(2 * JOURNAL_BLOCK_SIZE + offsets[i]);
		for (j = 0; j < 3; j++) {
			journal = open_dir(false);
			assert_true(has(journal, 1));
			assert_false(has(journal, 2));
			assert_int_equal(store(journal, 10 + (unsigned int)j),
					 0);
			journal_close(&journal);
		}
		assert_int_equal(warnings, 0);
		assert_int_equal(files_in("quarantine"), 0);
	}
}

static void test_first_blocks(void **state ATTR_UNUSED)
{
	struct journal_settings settings = { .segment_size = SMALL };
	struct journal *journal;
	char *error;

	journal = new_journal();
	assert_int_equal(store(journal, 1), 0);
	journal_close(&journal);
	flip(20);
	journal = journal_open(dir_fd, dir, &settings, &error);
	assert_null(journal);
	assert_int_equal(errno, EINVAL);
	assert_non_null(strstr(error, "segment 1 is damaged"));
	free(error);
	flip(20);
	journal = open_dir(false);
	assert_true(has(journal, 1));
	journal_close(&journal);
}

static struct journal *repair(bool read_only)
{
	struct journal_settings settings = { .segment_size = SMALL,
					     .read_only = read_only,
					     .repair = true,
					     .warning = count_warning };
	struct journal *journal;
	char *error;

	journal = journal_open(dir_fd, dir, &settings, &error);
	if (journal == NULL)
		fail_msg("%s", error);
	return journal;
}

/* The only segment, the first and the last one of several. */
static void test_a_damaged_segment_is_put_aside(void **state ATTR_UNUSED)
{
	const struct journal_damage *damage;
	struct journal *journal;

	journal = new_journal();
	assert_int_equal(store(journal, 1), 0);
	journal_close(&journal);
	flip(20);
	journal = repair(true);
	assert_false(has(journal, 1));
	damage = journal_get_damage(journal);
	assert_non_null(damage);
	assert_int_equal(damage->segment, 1);
	assert_int_equal(damage->offset, 0);
	assert_null(damage->next);
	journal_close(&journal);
	assert_int_equal(files_in("quarantine"), 0);
	journal = repair(false);
	assert_false(has(journal, 1));
	assert_int_equal(warnings, 1);
	/* the file, and why */
	assert_int_equal(files_in("quarantine"), 2);
	assert_int_equal(files_in("journal"), 0);
	assert_int_equal(store(journal, 2), 0);
	journal_close(&journal);
	journal = open_dir(true);
	assert_true(has(journal, 2));
	assert_null(journal_get_damage(journal));
	journal_close(&journal);
	/* once more of the same number takes no place of what is there */
	flip(20);
	journal = repair(false);
	assert_int_equal(files_in("quarantine"), 4);
	journal_close(&journal);
}

static void test_a_damaged_segment_among_others(void **state ATTR_UNUSED)
{
	struct journal *journal = new_journal();
	unsigned int n, there = 0;

	for (n = 0; files_in("journal") < 3; n++)
		assert_int_equal(store(journal, n), 0);
	journal_close(&journal);
	flip(20);
	journal = repair(false);
	assert_int_equal(files_in("journal"), 2);
	assert_false(has(journal, 0));
	assert_true(has(journal, n - 1));
	for (n = 0; n < 1000; n++)
		there += has(journal, n) ? 1 : 0;
	assert_true(there > 1);
	assert_int_equal(store(journal, 1000), 0);
	journal_close(&journal);
	journal = open_dir(false);
	assert_true(has(journal, 1000));
	for (n = 0; n < 1000; n++)
		there -= has(journal, n) ? 1 : 0;
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
		journal = new_journal();
		assert_int_equal(store(journal, 1), 0);
		assert_int_equal(store(journal, 2), 0);
		assert_int_equal(store(journal, 3), 0);
		journal_close(&journal);
		flip(2 * JOURNAL_BLOCK_SIZE + rows[i].offset);
		journal = open_dir(true);
		damage = journal_get_damage(journal);
		assert_non_null(damage);
		assert_int_equal(damage->segment, 1);
		assert_int_equal(damage->offset,
				 2 * JOURNAL_BLOCK_SIZE + rows[i].at);
		make_id(2, &id);
		assert_int_equal(message_id_cmp(&damage->id, &id) == 0,
				 rows[i].known);
		journal_close(&journal);
		/* what a writer has put aside is told of there */
		journal = open_dir(false);
		journal_close(&journal);
		journal = open_dir(true);
		assert_null(journal_get_damage(journal));
		journal_close(&journal);
	}
}

/*
 * The index
 */

static void test_memory_of_a_message(void **state ATTR_UNUSED)
{
	const unsigned int count = 200000;
	struct journal_index *index = malloc(sizeof(*index));
	struct journal_entry entry, old;
	struct mallinfo2 before, after;
	unsigned int n;

	assert_non_null(index);
	before = mallinfo2();
	journal_index_init(index);
	memset(&entry, 0, sizeof(entry));
	entry.headers.offset = 1;
	for (n = 0; n < count; n++) {
		make_id(n, &entry.id);
		assert_true(journal_index_set(index, &entry, &old));
	}
	after = mallinfo2();
	if (after.uordblks - before.uordblks > (size_t)count * 68)
		fail_msg("%zu bytes a message",
			 (after.uordblks - before.uordblks) / count);
	for (n = 0; n < count; n++) {
		make_id(n, &entry.id);
		assert_true(journal_index_remove(index, &entry.id, &old));
		assert_false(journal_index_find(index, &entry.id, &old));
	}
	journal_index_deinit(index);
	free(index);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_bit_of_a_header_counts),
		cmocka_unit_test(test_stored_and_there_after_reopening),
		cmocka_unit_test(test_segments_are_written_anew),
		cmocka_unit_test(test_too_large_is_refused),
		cmocka_unit_test(test_what_gathers_is_one_group),
		cmocka_unit_test(test_many_writers),
		cmocka_unit_test(test_a_failed_sync_is_void),
		cmocka_unit_test(test_two_failures_are_enough),
		cmocka_unit_test(test_a_full_disk),
		cmocka_unit_test(test_segments_are_read_at_once),
		cmocka_unit_test(test_footers),
		cmocka_unit_test(test_damage_under_a_footer),
		cmocka_unit_test(test_a_segment_with_a_footer_is_full),
		cmocka_unit_test(test_a_damaged_segment_gets_no_footer),
		cmocka_unit_test(test_a_probe_ends_the_refusal),
		cmocka_unit_test(test_compaction_gives_space_back),
		cmocka_unit_test(test_no_space_for_blocks_again),
		cmocka_unit_test(test_compaction_leaves_what_is_damaged),
		cmocka_unit_test(test_compaction_while_others_work),
		cmocka_unit_test(test_the_upkeep_works_by_itself),
		cmocka_unit_test(test_damage_is_put_aside),
		cmocka_unit_test(test_a_torn_tail_is_void),
		cmocka_unit_test(test_first_blocks),
		cmocka_unit_test(test_a_damaged_segment_is_put_aside),
		cmocka_unit_test(test_a_damaged_segment_among_others),
		cmocka_unit_test(test_a_reader_names_damage),
		cmocka_unit_test(test_memory_of_a_message),
	};

	return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
