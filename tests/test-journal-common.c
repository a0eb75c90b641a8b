/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "mem.h"
#include "test-journal-common.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

struct test_journal test_journal = { .dir_fd = -1 };
static unsigned int dir_number;

void test_journal_count_warning(void *context ATTR_UNUSED,
				const char *text ATTR_UNUSED)
{
	test_journal.warnings++;
}

void test_journal_new_dir(void)
{
	char name[32];

	if (test_journal.dir_fd != -1)
		assert_int_equal(close(test_journal.dir_fd), 0);
	(void)snprintf(name, sizeof(name), "journal%u", ++dir_number);
	(void)snprintf(test_journal.dir, sizeof(test_journal.dir), "%s",
		       test_path(name));
	assert_int_equal(mkdir(test_journal.dir, 0700), 0);
	test_journal.dir_fd = open(test_journal.dir, O_RDONLY | O_DIRECTORY);
	assert_true(test_journal.dir_fd >= 0);
	assert_int_equal(mkdirat(test_journal.dir_fd, "quarantine", 0700), 0);
	assert_int_equal(journal_init(test_journal.dir_fd), 0);
	test_journal.warnings = 0;
}

struct journal *test_journal_open_with(struct journal_settings settings)
{
	struct journal *journal;
	char *error;

	if (settings.segment_size == 0)
		settings.segment_size = TEST_JOURNAL_SEGMENT;
	settings.warning = test_journal_count_warning;
	journal = journal_open(test_journal.dir_fd, test_journal.dir, &settings,
			       &error);
	if (journal == NULL)
		fail_msg("%s", error);
	return journal;
}

struct journal *test_journal_open(bool read_only)
{
	struct journal_settings settings = { .read_only = read_only };

	return test_journal_open_with(settings);
}

struct journal *test_journal_new(void)
{
	test_journal_new_dir();
	return test_journal_open(false);
}

struct journal *test_journal_repair(bool read_only)
{
	struct journal_settings settings = { .read_only = read_only,
					     .repair = true };

	return test_journal_open_with(settings);
}

struct test_told test_told;

int test_telling_fstatvfs(int fd ATTR_UNUSED, struct statvfs *st)
{
	memset(st, 0, sizeof(*st));
	st->f_frsize = 4096;
	st->f_blocks = test_told.blocks;
	st->f_bavail = test_told.for_all;
	st->f_bfree = test_told.for_root;
	errno = EIO;
	return test_told.fails ? -1 : 0;
}

void test_journal_make_id(unsigned int n, message_id *id)
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

static void note_done(struct journal_request *request, int error)
{
	struct test_journal_put *put = request->context;

	put->done++;
	put->error = error;
}

void test_journal_make_put(struct test_journal_put *put, unsigned int n,
			   uint64_t version)
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
		test_journal_make_id(n, &record[i].id);
		record[i].version = version;
		record[i].stack = "plain";
	}
	put->request.count = 2;
	put->request.done = note_done;
	put->request.context = put;
}

uint32_t test_journal_active(const struct journal *journal)
{
	return journal->active == NULL ? 0 : journal->active->header.number;
}

void test_journal_store_version(struct journal *journal, unsigned int n,
				uint64_t version)
{
	struct test_journal_put put;

	test_journal_make_put(&put, n, version);
	test_journal_commit_claimed(journal, &put.request);
}

int test_journal_store(struct journal *journal, unsigned int n)
{
	struct journal_entry entry;
	struct test_journal_put put;
	int ret;

	test_journal_make_put(&put, n, 1);
	assert_int_equal(
		journal_claim(journal, &put.request.records[0].id, &entry), 0);
	ret = journal_commit(journal, &put.request) < 0 ? errno : 0;
	journal_release(journal, &put.request.records[0].id);
	assert_int_equal(put.done, 1);
	assert_int_equal(put.error, ret);
	return ret;
}

void test_journal_claim_drop(struct journal *journal, unsigned int n,
			     struct journal_request *request,
			     unsigned char target[JOURNAL_TARGET_SIZE])
{
	struct journal_record *record = request->records;
	struct journal_entry entry;

	memset(request, 0, sizeof(*request));
	request->count = 1;
	record->type = JOURNAL_UNLINK;
	test_journal_make_id(n, &record->id);
	assert_int_equal(journal_claim(journal, &record->id, &entry), 0);
	assert_true(entry.headers.offset != 0);
	journal_make_target(journal, &entry.headers, target);
	record->data = target;
	record->size = JOURNAL_TARGET_SIZE;
}

int test_journal_drop(struct journal *journal, unsigned int n)
{
	unsigned char target[JOURNAL_TARGET_SIZE];
	struct journal_request request;
	int ret = 0;

	test_journal_claim_drop(journal, n, &request, target);
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

	test_journal_make_id(n, &id);
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

void test_journal_commit_claimed(struct journal *journal,
				 struct journal_request *request)
{
	struct journal_entry entry;

	assert_int_equal(
		journal_claim(journal, &request->records[0].id, &entry), 0);
	assert_int_equal(
		journal_reserve_states(journal, &request->records[0].id), 0);
	assert_int_equal(journal_commit(journal, request), 0);
	journal_release(journal, &request->records[0].id);
}

void test_journal_drop_range(struct journal *journal, unsigned int from,
			     unsigned int to)
{
	for (; from < to; from++)
		assert_int_equal(test_journal_drop(journal, from), 0);
}

void test_journal_drop_most(struct journal *journal, unsigned int end)
{
	unsigned int n;

	for (n = 0; n < end; n++) {
		if (!TEST_JOURNAL_KEEPS(n))
			assert_int_equal(test_journal_drop(journal, n), 0);
	}
}

void test_journal_must_have_the_rest(struct journal *journal, unsigned int end)
{
	unsigned int n;

	for (n = 0; n < end; n++)
		assert_int_equal(test_journal_has(journal, n),
				 TEST_JOURNAL_KEEPS(n));
}

void test_journal_start_again(struct journal **journal)
{
	journal_close(journal);
	*journal = test_journal_open(false);
}

bool test_journal_has(struct journal *journal, unsigned int n)
{
	bool headers = has_record(journal, n, JOURNAL_HEADERS, "headers");

	assert_int_equal(has_record(journal, n, JOURNAL_BODY, "body"), headers);
	return headers;
}

void test_journal_compact(struct journal *journal)
{
	uint64_t moved;

	assert_int_equal(journal_compact(journal, &moved), 0);
}

void test_journal_fill(struct journal *journal, unsigned int *n)
{
	const struct journal_segment *active = journal->active;

	while (journal->active == active)
		assert_int_equal(test_journal_store(journal, (*n)++), 0);
}

void test_journal_pass(struct journal *journal, unsigned int *n,
		       unsigned int count)
{
	for (; count > 0; count--, (*n)++) {
		assert_int_equal(test_journal_store(journal, *n), 0);
		if (*n > TEST_JOURNAL_STAYING)
			assert_int_equal(test_journal_drop(journal, *n - 1), 0);
	}
}

void test_journal_time_passes(struct journal *journal, unsigned int *n)
{
	test_journal_pass(journal, n, 60);
	test_journal_compact(journal);
}

const char *test_journal_segment(unsigned int number)
{
	static char path[600];

	(void)snprintf(path, sizeof(path), "%s/journal/%08u.seg",
		       test_journal.dir, number);
	return path;
}

uint64_t test_journal_disk_use(void)
{
	struct stat st;
	uint64_t used = 0;
	unsigned int i;

	for (i = 1; i < 1000; i++) {
		if (stat(test_journal_segment(i), &st) < 0)
			break;
		used += (uint64_t)st.st_blocks * 512;
	}
	return used;
}

unsigned int test_journal_files_in(const char *name)
{
	char path[600];
	struct dirent *entry;
	unsigned int count = 0;
	DIR *listing;

	(void)snprintf(path, sizeof(path), "%s/%s", test_journal.dir, name);
	listing = opendir(path);
	assert_non_null(listing);
	while ((entry = readdir(listing)) != NULL)
		count += entry->d_name[0] != '.' &&
			strcmp(entry->d_name, "bodies") != 0;
	assert_int_equal(closedir(listing), 0);
	return count;
}

void test_journal_cut(unsigned int segment, uint64_t size)
{
	assert_int_equal(truncate(test_journal_segment(segment), (off_t)size),
			 0);
}

void test_journal_flip(uint64_t offset)
{
	test_journal_flip_in(1, offset);
}

void test_journal_flip_in(unsigned int segment, uint64_t offset)
{
	test_flip(test_journal_segment(segment), offset);
}

unsigned int test_journal_must_keep_bytes(size_t least)
{
	char path[900];
	unsigned int segment, copies = 0;
	unsigned long long pos;
	buffer_t *copy, *original;
	struct dirent *entry;
	const char *name;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "%s/quarantine", test_journal.dir);
	dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		/* behind the id, if there is one */
		name = strstr(entry->d_name, "journal-");
		if (name == NULL || strstr(name, ".why") != NULL ||
		    sscanf(name, "journal-%u-%*[0-9a-f]-%llu.bytes", &segment,
			   &pos) != 2)
			continue;
		(void)snprintf(path, sizeof(path), "%s/quarantine/%s",
			       test_journal.dir, entry->d_name);
		copy = test_read_file(path);
		original = test_read_file(test_journal_segment(segment));
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

uint64_t test_journal_sum(const uint64_t histogram[SPOOL_HISTOGRAM_SIZE])
{
	uint64_t all = 0;
	unsigned int i;

	for (i = 0; i < SPOOL_HISTOGRAM_SIZE; i++)
		all += histogram[i];
	return all;
}
