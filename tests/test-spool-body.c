/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Bodies that can be read once, in a spool where more than one module reads them. */

#include "config.h"
#include "hash-method.h"
#include "istream.h"
#include "spool-modules.h"
#include "spool-stacks.h"
#include "test-faults.h"
#include "test-mem-faults.h"
#include "test-spool-common.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Reads the body, from its beginning, and goes on. */
static uint64_t octets_read;
static unsigned int bodies_read;

static int reader_writebody(io_infrastructure *io ATTR_UNUSED,
			    io_caller caller ATTR_UNUSED,
			    email_message *message, int force ATTR_UNUSED)
{
	const unsigned char *data;
	size_t size;

	i_stream_seek(message->body, 0);
	while (i_stream_read_more(message->body, &data, &size) > 0)
		i_stream_skip(message->body, size);
	if (message->body->stream_errno != 0) {
		errno = message->body->stream_errno;
		io_set_error("%s", i_stream_get_error(message->body));
		return IO_TRANS_FAIL;
	}
	octets_read = message->body->v_offset;
	bodies_read++;
	return IO_CONT;
}

static io_infrastructure reader = { .shared = SPOOL_MODULE_SHARED(
					    "reader", "a test", "reads") };

static void add_reader(struct spool *spool)
{
	char *error;

	reader.io_writebody = reader_writebody;
	if (spool_add_module(spool, &reader, NULL, &error) < 0)
		fail_msg("%s", error);
	bodies_read = 0;
	octets_read = 0;
}

/* In memory alone, behind the reader. */
static struct spool *memory_spool(void)
{
	struct spool *spool = spool_new();
	char *error;

	add_reader(spool);
	assert_int_equal(spool_add_module(spool, spool_module_memory_new(),
					  NULL, &error),
			 0);
	return spool;
}

/* A stream that cannot go back, and needs no other end as a pipe does. */
struct once {
	struct istream *source, *input;
	void *context;
};

static void once_init(struct once *once, const void *data, size_t size)
{
	const struct hash_method *method = hash_method_lookup("blake2b");

	once->context = calloc(1, method->context_size);
	method->init(once->context);
	once->source = i_stream_create_from_data(data, size);
	once->input = i_stream_create_hash(once->source, method, once->context);
	assert_false(once->input->seekable);
}

static void once_deinit(struct once *once)
{
	i_stream_unref(&once->input);
	i_stream_unref(&once->source);
	free(once->context);
}

static email_message *new_message(struct spool *spool, struct istream *input,
				  message_id *id_r)
{
	email_message *message;

	spool_new_id(spool, id_r);
	message = email_message_new(id_r);
	(void)email_message_set_sender(message, "a@example.org");
	(void)email_message_add_recipient(message, "b@example.org");
	email_message_set_body(message, input, 0);
	return message;
}

static int put_stream(struct spool *spool, struct istream *input,
		      message_id *id_r)
{
	email_message *message = new_message(spool, input, id_r);
	int answer;

	answer = spool_put(spool, message);
	email_message_unref(&message);
	return answer;
}

static int put_once(struct spool *spool, const void *data, size_t size,
		    message_id *id_r)
{
	struct once once;
	int answer;

	once_init(&once, data, size);
	answer = put_stream(spool, once.input, id_r);
	once_deinit(&once);
	return answer;
}

static const size_t sizes[] = {
	0, 1, 100, 256 * 1024, 262145, 3 * 1024 * 1024
};

static void test_every_module_reads_all(void **state ATTR_UNUSED)
{
	struct spool *spools[2];
	unsigned char *data;
	message_id id;
	size_t i, s;

	for (s = 0; s < N_ELEMENTS(spools); s++) {
		if (s == 0) {
			spools[s] = memory_spool();
		} else {
			spools[s] = test_spool_new(TEST_SPOOL_ZSTD);
			add_reader(spools[s]);
		}
		for (i = 0; i < N_ELEMENTS(sizes); i++) {
			data = test_data(TEST_DATA_RANDOM, sizes[i]);
			if (put_once(spools[s], data, sizes[i], &id) != IO_DONE)
				fail_msg("%zu: %s", sizes[i], io_get_error());
			assert_int_equal(bodies_read, i + 1);
			assert_int_equal(octets_read, sizes[i]);
			test_spool_must_have(spools[s], &id, data, sizes[i]);
			free(data);
		}
		spool_close(&spools[s]);
	}
	assert_int_equal(test_command("test -z \"$(ls -A %s/messages/tmp)\"",
				      test_spool_dir()),
			 0);
}

/* A second try has the whole body again. */
static void test_the_message_keeps_it(void **state ATTR_UNUSED)
{
	struct spool *spool = memory_spool();
	unsigned char *data = test_data(TEST_DATA_RANDOM, 300000);
	email_message *message;
	struct once once;
	message_id id;
	int i;

	spool_new_id(spool, &id);
	message = email_message_new(&id);
	once_init(&once, data, 300000);
	email_message_set_body(message, once.input, 0);
	for (i = 0; i < 2; i++) {
		octets_read = 0;
		assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, message,
						 0),
				 IO_DONE);
		assert_int_equal(octets_read, 300000);
	}
	email_message_unref(&message);
	once_deinit(&once);
	free(data);
	spool_close(&spool);
}

/* A body that is shorter or longer than was announced is refused, kept or not. */
static void test_what_is_kept_has_its_length(void **state ATTR_UNUSED)
{
	static const struct {
		uint64_t announced;
		int answer;
	} rows[] = { { 99, IO_FAIL }, { 100, IO_DONE }, { 101, IO_FAIL } };
	unsigned char *data = test_data(TEST_DATA_RANDOM, 100);
	struct spool *spool = test_spool_new("");
	email_message *message;
	struct once once;
	message_id id;
	size_t i;

	add_reader(spool);
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		spool_new_id(spool, &id);
		message = email_message_new(&id);
		once_init(&once, data, 100);
		email_message_set_body(message, once.input, rows[i].announced);
		assert_int_equal(spool_put(spool, message), rows[i].answer);
		email_message_unref(&message);
		once_deinit(&once);
	}
	spool_close(&spool);
	free(data);
}

/* Where one reads it, or it can be read again, nothing is kept. */
static void test_no_file_without_need(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, 300000);
	struct istream *input = i_stream_create_from_data(data, 300000);
	struct spool *spool = memory_spool();
	message_id id;
	char *error;

	test_faults_begin();
	assert_int_equal(put_stream(spool, input, &id), IO_DONE);
	assert_int_equal(test_faults.calls[TEST_OP_OPEN], 0);
	assert_int_equal(put_once(spool, data, 300000, &id), IO_DONE);
	assert_int_equal(test_faults.calls[TEST_OP_OPEN], 1);
	spool_close(&spool);
	spool = spool_new();
	assert_int_equal(spool_add_module(spool, spool_module_memory_new(),
					  NULL, &error),
			 0);
	assert_int_equal(put_once(spool, data, 300000, &id), IO_DONE);
	assert_int_equal(test_faults.calls[TEST_OP_OPEN], 1);
	test_faults_end();
	i_stream_unref(&input);
	free(data);
	spool_close(&spool);
}

/*
 * What is a pipe shows when it is opened
 */

static const char wire[] = TEST_SPOOL_WIRE;

static void *write_fifo(void *context)
{
	int fd = open(context, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, wire, sizeof(wire) - 1) < 0)
		return context;
	(void)close(fd);
	return NULL;
}

static void test_the_path_of_a_fifo(void **state ATTR_UNUSED)
{
	struct spool *spool = memory_spool();
	char path[512];
	struct istream *input;
	pthread_t thread;
	message_id id;
	void *result;

	(void)snprintf(path, sizeof(path), "%s", test_path("fifo"));
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(pthread_create(&thread, NULL, write_fifo, path), 0);
	input = i_stream_create_file(path, 0);
	assert_true(input->seekable);
	assert_int_equal(put_stream(spool, input, &id), IO_DONE);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_null(result);
	assert_false(input->seekable);
	assert_int_equal(octets_read, sizeof(wire) - 1);
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	i_stream_unref(&input);
	spool_close(&spool);
}

/*
 * Failures, and what is written
 */

/* Each call by which it is kept, the last one too; how many these were. */
static unsigned int keep_with_failures(struct spool *spool, enum test_op op,
				       const void *data, size_t size)
{
	message_id id;
	unsigned int n;
	int answer;

	for (n = 1;; n++) {
		bodies_read = 0;
		test_faults_begin();
		test_faults.fail_at[op] = n;
		test_faults.fail_errno[op] = ENOSPC;
		answer = put_once(spool, data, size, &id);
		test_faults_end();
		/* it is the store's call that failed */
		if (bodies_read > 0)
			return n - 1;
		assert_int_equal(answer, IO_TRANS_FAIL);
		assert_int_equal(io_get_errno(), ENOSPC);
		assert_non_null(strstr(io_get_error(), "No space left"));
	}
}

static void test_failures_reach_no_module(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, 1000000);
	struct spool *spool = test_spool_new("");
	unsigned int total;
	struct istream *input;
	message_id id;

	add_reader(spool);
	assert_true(keep_with_failures(spool, TEST_OP_OPEN, data, 1000000) > 0);
	assert_true(keep_with_failures(spool, TEST_OP_WRITE, data, 1000000) >
		    2);
	bodies_read = 0;
	input = i_stream_create_error_str(EIO, "the line is cut");
	assert_int_equal(put_stream(spool, input, &id), IO_TRANS_FAIL);
	i_stream_unref(&input);
	assert_non_null(strstr(io_get_error(), "the line is cut"));
	assert_int_equal(bodies_read, 0);
	assert_int_equal(test_spool_damaged(spool, &total), 0);
	assert_int_equal(total, 0);
	free(data);
	spool_close(&spool);
	assert_int_equal(test_command("test -z \"$(ls -A %s/messages/tmp)\"",
				      test_spool_dir()),
			 0);
}

/* What a body fails with may be over later, or not. */
static void test_bodies_that_may_come_again(void **state ATTR_UNUSED)
{
	static const struct {
		int error, answer;
	} rows[] = {
		{ ECONNRESET, IO_TRANS_FAIL },
		{ ECONNABORTED, IO_TRANS_FAIL },
		{ ENETDOWN, IO_TRANS_FAIL },
		{ ENETUNREACH, IO_TRANS_FAIL },
		{ EHOSTUNREACH, IO_TRANS_FAIL },
		{ ECANCELED, IO_TRANS_FAIL },
		{ ETIMEDOUT, IO_TRANS_FAIL },
		{ EPIPE, IO_FAIL },
		{ EINVAL, IO_FAIL },
	};
	struct spool *spool = test_spool_new("");
	struct istream *input;
	message_id id;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		input = i_stream_create_error_str(rows[i].error, "it is cut");
		assert_int_equal(put_stream(spool, input, &id), rows[i].answer);
		assert_int_equal(io_get_errno(), rows[i].error);
		i_stream_unref(&input);
	}
	spool_close(&spool);
}

/* Nor is where it would be kept the message's fault. */
static void test_no_place_to_keep_a_body(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_ZEROS, 300000);
	struct spool *spool = memory_spool();
	const char *was = getenv("TMPDIR");
	char *before = was == NULL ? NULL : strdup(was);
	message_id id;

	assert_int_equal(setenv("TMPDIR", test_path("missing"), 1), 0);
	assert_int_equal(put_once(spool, data, 300000, &id), IO_TRANS_FAIL);
	assert_int_equal(io_get_errno(), ENOENT);
	assert_non_null(strstr(io_get_error(), test_path("missing")));
	assert_int_equal(before == NULL ? unsetenv("TMPDIR") :
					  setenv("TMPDIR", before, 1),
			 0);
	free(before);
	free(data);
	spool_close(&spool);
}

/* For a layer of the stack the message is too large, and will be; that the file is, is not
   its fault. */
static void test_bodies_that_are_too_large(void **state ATTR_UNUSED)
{
	static const struct {
		const char *store, *stack;
		int answer;
	} rows[] = {
		{ "file", "limit:10", IO_FAIL },
		{ "file", "limit:10 | gzip", IO_FAIL },
		{ "file", "gzip | limit:10", IO_FAIL },
		{ "journal", "limit:10", IO_FAIL },
		{ "journal", "gzip | limit:10", IO_FAIL },
		{ "file", "", IO_TRANS_FAIL },
		{ "file", "gzip | limit:1M", IO_TRANS_FAIL },
		{ "journal", "gzip | limit:1M", IO_TRANS_FAIL },
	};
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	struct spool *spool;
	message_id id;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		spool = test_spool_new_of(rows[i].store, rows[i].stack);
		test_faults_begin();
		test_faults.fail_at[TEST_OP_WRITE] = 1;
		test_faults.fail_errno[TEST_OP_WRITE] = EFBIG;
		if (test_spool_put(spool, data, TEST_SPOOL_LARGE, &id) !=
		    rows[i].answer)
			fail_msg("%s, %s", rows[i].store, rows[i].stack);
		test_faults_end();
		assert_int_equal(io_get_errno(), EFBIG);
		spool_close(&spool);
	}
	free(data);
}

/* Where memory ends the message may be tried again; it is there, or nothing of it is. */
static void test_where_memory_ends(void **state ATTR_UNUSED)
{
	const size_t size = 300000;
	unsigned char *data = test_data(TEST_DATA_RANDOM, size);
	struct spool *spool = test_spool_new("");
	email_message *message, *got;
	unsigned int n, hit;
	struct once once;
	message_id id;
	int answer;

	add_reader(spool);
	TEST_EACH_CALL(n, hit) {
		once_init(&once, data, size);
		message = new_message(spool, once.input, &id);
		test_mem_faults_begin(n, false);
		answer = spool_put(spool, message);
		hit = test_mem_faults_end();
		email_message_unref(&message);
		once_deinit(&once);
		if (answer == IO_DONE) {
			test_spool_must_have(spool, &id, data, size);
			continue;
		}
		if (answer != IO_TRANS_FAIL || io_get_errno() != ENOMEM)
			fail_msg("call %u: %s", n, io_get_error());
		assert_int_equal(spool_get(spool, &id, &got), IO_FAIL);
	}
	assert_true(bodies_read > 1);
	free(data);
	spool_close(&spool);
}

/* Headers that memory has no room for are read later, and are not damaged. */
static void test_no_memory_for_headers(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, 5000);
	struct istream *input = i_stream_create_from_data(data, 5000);
	buffer_t *record = buffer_create_dynamic(default_pool, 16);

	test_mem_faults_begin(1, false);
	assert_int_equal(spool_read_record(input, record), IO_TRANS_FAIL);
	assert_int_equal(test_mem_faults_end(), 1);
	assert_int_equal(io_get_errno(), ENOMEM);
	buffer_free(&record);
	i_stream_destroy(&input);
	free(data);
}

static const char canary[] = "CANARY-5b2e-in-plain-text\r\n";
static size_t bytes_written;
static bool canary_written;

static void look_at(const struct iovec *iov, int count)
{
	int i;

	for (i = 0; i < count; i++) {
		bytes_written += iov[i].iov_len;
		if (memmem(iov[i].iov_base, iov[i].iov_len, canary,
			   sizeof(canary) - 1) != NULL)
			canary_written = true;
	}
}

static ssize_t look_writev(int fd, const struct iovec *iov, int count)
{
	look_at(iov, count);
	return file_ops_system.writev(fd, iov, count);
}

static ssize_t look_pwritev(int fd, const struct iovec *iov, int count,
			    off_t offset)
{
	look_at(iov, count);
	return file_ops_system.pwritev(fd, iov, count, offset);
}

static void test_no_plain_text_is_written(void **state ATTR_UNUSED)
{
	struct file_ops ops = file_ops_system;
	struct spool *spool = memory_spool();
	size_t size = 20000 * (sizeof(canary) - 1), at;
	char *data = malloc(size);
	message_id id;

	for (at = 0; at < size; at += sizeof(canary) - 1)
		memcpy(data + at, canary, sizeof(canary) - 1);
	ops.writev = look_writev;
	ops.pwritev = look_pwritev;
	file_ops_set(&ops);
	assert_int_equal(put_once(spool, data, size, &id), IO_DONE);
	file_ops_set(NULL);
	assert_true(bytes_written > size);
	assert_false(canary_written);
	test_spool_must_have(spool, &id, data, size);
	free(data);
	spool_close(&spool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_module_reads_all),
		cmocka_unit_test(test_the_message_keeps_it),
		cmocka_unit_test(test_what_is_kept_has_its_length),
		cmocka_unit_test(test_no_file_without_need),
		cmocka_unit_test(test_the_path_of_a_fifo),
		cmocka_unit_test(test_failures_reach_no_module),
		cmocka_unit_test(test_bodies_that_may_come_again),
		cmocka_unit_test(test_no_place_to_keep_a_body),
		cmocka_unit_test(test_bodies_that_are_too_large),
		cmocka_unit_test(test_where_memory_ends),
		cmocka_unit_test(test_no_memory_for_headers),
		cmocka_unit_test(test_no_plain_text_is_written),
	};

	return cmocka_run_group_tests_name(
		"spool-body", tests, test_spool_setup, test_spool_teardown);
}
