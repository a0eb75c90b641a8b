/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What input streams say of themselves: their descriptor, size, end, error and time. */

#include "config.h"
#include "hash-method.h"
#include "iostream-rawlog.h"
#include "test-stream-common.h"
#include "transforms.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SIZE ((size_t)200000)

/*
 * Filters over a file
 */

static uint64_t hashed[64];
static struct test_told told;

static struct istream *limit(struct istream *input)
{
	return i_stream_create_limit(input, SIZE);
}

static struct istream *hash(struct istream *input)
{
	const struct hash_method *method = hash_method_lookup("crc32");

	assert_true(method->context_size <= sizeof(hashed));
	method->init(hashed);
	return i_stream_create_hash(input, method, hashed);
}

static struct istream *checked(struct istream *input)
{
	const struct hash_method *method = hash_method_lookup("size");
	static const unsigned char digest[8] = { 0, 0, 0, 0, 0, 1, 2, 3 };

	return i_stream_create_checked(input, method, digest, "not so long");
}

static struct istream *progress(struct istream *input)
{
	memset(&told, 0, sizeof(told));
	return i_stream_create_progress(input, SIZE, test_tell, &told);
}

static struct istream *logged(struct istream *input)
{
	struct ostream *log = o_stream_create_null();

	return i_stream_create_rawlog_from_stream(input, log, 0);
}

static struct istream *child_of_tee(struct istream *input)
{
	return tee_i_stream_create_child(tee_i_stream_create(input));
}

static struct istream *too_short(struct istream *input)
{
	return i_stream_create_sized(input, 2 * SIZE);
}

static struct istream *fails(struct istream *input)
{
	return i_stream_create_failure_at(input, 100000, EIO, "failure");
}

static struct istream *patient(struct istream *input)
{
	return i_stream_create_timeout(input, 1000);
}

static struct istream *no_nuls(struct istream *input)
{
	return i_stream_create_nonuls(input, '-');
}

static struct istream *channel(struct istream *input)
{
	return i_stream_create_multiplex(input, 0);
}

static struct istream *whole(struct istream *input)
{
	return i_stream_create_whole(input, input);
}

static struct istream *decompressed(struct istream *input)
{
	return i_stream_create_decompress(input, 0);
}

static const struct filter {
	const char *name, *file;
	struct istream *(*create)(struct istream *input);
	bool passes; /* the descriptor gives what it gives */
	int error;
} filters[] = {
	{ "noop", "plain", i_stream_create_noop, true, 0 },
	{ "limit", "plain", limit, true, 0 },
	{ "hash", "plain", hash, false, 0 },
	{ "checked", "plain", checked, false, EINVAL },
	{ "progress", "plain", progress, false, 0 },
	{ "rawlog", "plain", logged, false, 0 },
	{ "tee", "plain", child_of_tee, false, 0 },
	{ "sized", "plain", too_short, false, EPIPE },
	{ "failure at", "plain", fails, false, EIO },
	{ "timeout", "plain", patient, false, 0 },
	{ "nonuls", "plain", no_nuls, false, 0 },
	{ "whole", "plain", whole, false, 0 },
	{ "multiplex", "packets", channel, false, 0 },
	{ "gzip", "zipped", i_stream_create_gzip, false, 0 },
	{ "decompress", "zipped", decompressed, false, 0 },
};

static struct istream *over_file(const struct filter *filter)
{
	const char *path = test_path(filter->file);
	struct istream *file = i_stream_create_file(path, 0), *s;

	s = filter->create(file);
	i_stream_unref(&file);
	return s;
}

/* Who takes bytes from there gets what a reader gets, or is told not to. */
static void test_descriptor(void **state ATTR_UNUSED)
{
	const struct filter *filter;
	struct istream *s;

	for (filter = filters; filter < filters + N_ELEMENTS(filters);
	     filter++) {
		s = over_file(filter);
		if (i_stream_read(s) <= 0 || s->readable_fd != filter->passes)
			fail_msg("%s: readable_fd is %d", filter->name,
				 s->readable_fd ? 1 : 0);
		if (i_stream_get_fd(s) < 0)
			fail_msg("%s: has no descriptor", filter->name);
		i_stream_destroy(&s);
	}
}

/* Those that have several inputs, or none, have none of their own. */
static void test_no_descriptor(void **state ATTR_UNUSED)
{
	struct istream *inputs[2] = { NULL, NULL }, *streams[4];
	struct istream_chain *chain;
	size_t i;

	inputs[0] = i_stream_create_file(test_path("plain"), 0);
	streams[0] = i_stream_create_concat(inputs);
	streams[1] = i_stream_create_try(inputs);
	streams[2] = i_stream_create_chain(&chain, 0);
	streams[3] = i_stream_create_callback(NULL, NULL);
	for (i = 0; i < N_ELEMENTS(streams); i++) {
		assert_int_equal(i_stream_get_fd(streams[i]), -1);
		i_stream_destroy(&streams[i]);
	}
	i_stream_destroy(&inputs[0]);
}

/* What a path is of shows when it is opened. */
static void test_path_of_a_fifo(void **state ATTR_UNUSED)
{
	buffer_t *zipped = test_read_file(test_path("zipped"));
	const char *path = test_path("fifo");
	struct istream *file, *s;
	int fd;

	assert_int_equal(mkfifo(path, 0600), 0);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, zipped->data, 4096), 4096);
	file = i_stream_create_file(path, 0);
	s = decompressed(file);
	assert_true(i_stream_read(s) > 0);
	assert_false(s->seekable);
	i_stream_destroy(&s);
	i_stream_destroy(&file);
	assert_int_equal(close(fd), 0);
	buffer_free(&zipped);
}

static void test_sent_to_a_file(void **state ATTR_UNUSED)
{
	buffer_t *read = buffer_create_dynamic(default_pool, SIZE), *sent;
	const struct filter *filter;
	struct istream *s;
	struct ostream *output;
	const char *path;
	enum ostream_send_istream_result result;
	int error;

	for (filter = filters; filter < filters + N_ELEMENTS(filters);
	     filter++) {
		s = over_file(filter);
		buffer_set_used_size(read, 0);
		error = test_read_all(s, read);
		assert_int_equal(error, filter->error);
		i_stream_destroy(&s);

		s = over_file(filter);
		path = test_path("sent");
		output = o_stream_create_file(path, 0, 0600, 0);
		result = o_stream_send_istream(output, s);
		assert_int_equal(s->stream_errno, error);
		assert_int_equal(
			result,
			error == 0 ? OSTREAM_SEND_ISTREAM_RESULT_FINISHED :
				     OSTREAM_SEND_ISTREAM_RESULT_ERROR_INPUT);
		assert_int_equal(o_stream_finish(output), 1);
		o_stream_destroy(&output);
		i_stream_destroy(&s);
		sent = test_read_file(path);
		if (!buffer_cmp(read, sent))
			fail_msg("%s: %zu bytes were sent, %zu are read",
				 filter->name, sent->used, read->used);
		buffer_free(&sent);
		assert_int_equal(unlink(path), 0);
	}
	buffer_free(&read);
}

/* They have seen what was sent, too. */
static void test_seen_when_sent(void **state ATTR_UNUSED)
{
	const struct hash_method *method = hash_method_lookup("crc32");
	struct ostream *output = o_stream_create_null();
	unsigned char digest[4], wanted[4];
	buffer_t *plain = test_read_file(test_path("plain"));
	struct istream *file, *lower, *s;

	file = i_stream_create_file(test_path("plain"), 0);
	lower = hash(file);
	s = progress(lower);
	assert_int_equal(o_stream_send_istream(output, s),
			 OSTREAM_SEND_ISTREAM_RESULT_FINISHED);
	method->result(hashed, digest);
	hash_method_get_digest(method, plain->data, plain->used, wanted);
	assert_memory_equal(digest, wanted, sizeof(digest));
	assert_string_equal(told.text, "200000 ");
	i_stream_destroy(&s);
	i_stream_destroy(&lower);
	i_stream_destroy(&file);
	assert_int_equal(o_stream_finish(output), 1);
	o_stream_destroy(&output);
	buffer_free(&plain);
}

/*
 * Sizes
 */

static int size_of(struct istream *s, bool exact, uoff_t *size_r)
{
	const struct stat *st = NULL;
	uoff_t size = 77;
	int ret, stat_ret;

	stat_ret = i_stream_stat(s, exact, &st);
	ret = i_stream_get_size(s, exact, &size);
	assert_int_equal(stat_ret, ret < 0 ? -1 : 0);
	if (ret > 0)
		assert_int_equal(st->st_size, size);
	else if (ret == 0 && exact)
		assert_int_equal(st->st_size, -1);
	*size_r = size;
	return ret;
}

static struct istream *empty_pipe(void)
{
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(close(fds[1]), 0);
	return i_stream_create_fd_autoclose(&fds[0], 0);
}

/* All of them have to have one. */
static void test_size_of_a_concat(void **state ATTR_UNUSED)
{
	struct istream *inputs[3] = { NULL, NULL, NULL }, *s;
	uoff_t size;
	int i;

	for (i = 0; i < 3; i++) {
		inputs[0] = i_stream_create_from_data("abc", 3);
		inputs[1] = i == 0 ? i_stream_create_from_data("defgh", 5) :
			i == 1     ? empty_pipe() :
				     i_stream_create_file(test_path("none"), 0);
		i_stream_skip(inputs[0], 1);
		s = i_stream_create_concat(inputs);
		i_stream_unref(&inputs[0]);
		i_stream_unref(&inputs[1]);
		assert_int_equal(size_of(s, true, &size), 1 - i);
		if (i == 0)
			assert_int_equal(size, 7);
		i_stream_destroy(&s);
	}
}

static void test_size_of_a_decoder(void **state ATTR_UNUSED)
{
	static const struct {
		const char *file;
		int ret, error;
	} cases[] = { { "zipped", 1, 0 },
		      { "plain", -1, EINVAL },
		      { "none", -1, ENOENT },
		      { NULL, 0, 0 } };
	struct istream *file, *s;
	const struct stat *st;
	uoff_t size;
	size_t i;

	for (i = 0; i < N_ELEMENTS(cases); i++) {
		file = cases[i].file == NULL ?
			empty_pipe() :
			i_stream_create_file(test_path(cases[i].file), 0);
		s = i_stream_create_gzip(file);
		i_stream_unref(&file);
		/* an estimate needs no more than the file */
		assert_int_equal(i_stream_stat(s, false, &st),
				 cases[i].error == ENOENT ? -1 : 0);
		assert_int_equal(s->stream_errno,
				 cases[i].error == ENOENT ? ENOENT : 0);
		assert_int_equal(size_of(s, true, &size), cases[i].ret);
		assert_int_equal(s->stream_errno, cases[i].error);
		if (cases[i].ret > 0)
			assert_int_equal(size, SIZE);
		i_stream_destroy(&s);
	}
}

/* What nobody can know; and the error of who was asked. */
static void test_no_size(void **state ATTR_UNUSED)
{
	static const char *const none[] = { "callback", "chain" };
	struct istream_chain *chain;
	struct istream *s, *file;
	uoff_t size;
	size_t i;

	for (i = 0; i < N_ELEMENTS(none); i++) {
		s = i == 0 ? i_stream_create_callback(NULL, NULL) :
			     i_stream_create_chain(&chain, 0);
		assert_int_equal(size_of(s, true, &size), 0);
		i_stream_destroy(&s);
	}
	file = i_stream_create_file(test_path("none"), 0);
	s = child_of_tee(file);
	i_stream_unref(&file);
	assert_int_equal(size_of(s, true, &size), -1);
	assert_int_equal(s->stream_errno, ENOENT);
	i_stream_destroy(&s);
}

/*
 * Ends and errors
 */

static void test_read_eof(void **state ATTR_UNUSED)
{
	struct istream *s = test_trickle_create("ab", 2, 1, false);

	assert_false(i_stream_read_eof(s));
	assert_int_equal(i_stream_get_data_size(s), 1);
	/* no more is read while there is something */
	assert_false(i_stream_read_eof(s));
	assert_int_equal(i_stream_get_data_size(s), 1);
	i_stream_skip(s, 1);
	assert_false(i_stream_read_eof(s));
	i_stream_skip(s, 1);
	assert_false(s->eof);
	assert_true(i_stream_read_eof(s));
	assert_true(s->eof);
	i_stream_destroy(&s);
	s = i_stream_create_error(EIO);
	assert_true(i_stream_read_eof(s));
	i_stream_destroy(&s);
}

/* The first error stays, whatever its parent says later. */
static void test_first_error(void **state ATTR_UNUSED)
{
	struct istream *parent = test_trickle_create("abc", 3, 3, false), *s;
	const struct stat *st;

	s = i_stream_create_sized(parent, 2);
	i_stream_skip(s, 2);
	assert_int_equal(i_stream_read(s), -1);
	i_stream_close(parent);
	assert_int_equal(i_stream_stat(s, true, &st), -1);
	assert_int_equal(s->stream_errno, EINVAL);
	assert_non_null(strstr(i_stream_get_error(s), "goes on after"));
	i_stream_destroy(&s);
	i_stream_destroy(&parent);
}

/* What has been read before stays; nothing else is there. */
static void test_skip_behind_the_end(void **state ATTR_UNUSED)
{
	struct istream *s = i_stream_create_from_data("abc", 3);

	i_stream_close(s);
	i_stream_skip(s, 1);
	assert_int_equal(i_stream_get_data_size(s), 2);
	i_stream_skip(s, 3);
	assert_int_equal(s->v_offset, 3);
	assert_int_equal(i_stream_get_data_size(s), 0);
	i_stream_destroy(&s);

	s = test_trickle_create("abc", 3, 3, false);
	i_stream_skip(s, 2);
	i_stream_skip(s, UOFF_T_MAX);
	assert_int_equal(s->v_offset, UOFF_T_MAX);
	assert_int_equal(i_stream_read(s), -1);
	assert_int_equal(s->stream_errno, 0);
	i_stream_destroy(&s);
}

static bool one_letter(buffer_t *buf, void *context ATTR_UNUSED)
{
	buffer_append_c(buf, 'x');
	return true;
}

/* Their bytes come once. */
static void test_cannot_go_back(void **state ATTR_UNUSED)
{
	struct istream *s = i_stream_create_callback(one_letter, NULL);
	unsigned int i;

	for (i = 0; i < 10; i++) {
		assert_int_equal(i_stream_read(s), 1);
		i_stream_skip(s, 1);
	}
	i_stream_seek_mark(s, 10);
	assert_int_equal(s->stream_errno, 0);
	i_stream_seek_mark(s, 12);
	assert_int_equal(i_stream_read(s), 1);
	assert_int_equal(s->v_offset, 12);
	i_stream_seek_mark(s, 3);
	assert_int_equal(i_stream_read(s), -1);
	assert_int_equal(s->stream_errno, ESPIPE);
	assert_non_null(strstr(i_stream_get_error(s), "offset 3"));
	i_stream_destroy(&s);
}

/* Each concat counts as one that is on top of the highest of its inputs. */
static void test_depth_of_concats(void **state ATTR_UNUSED)
{
	struct istream *inputs[3] = { NULL, NULL, NULL }, *s;
	unsigned int depth;

	s = i_stream_create_from_data("", 0);
	for (depth = 1; depth <= 256; depth++) {
		assert_int_equal(s->stream_errno, 0);
		inputs[0] = s;
		inputs[1] = i_stream_create_from_data("x", 1);
		s = i_stream_create_concat(inputs);
		i_stream_unref(&inputs[0]);
		i_stream_unref(&inputs[1]);
	}
	assert_int_equal(s->stream_errno, ELOOP);
	i_stream_destroy(&s);
}

/* As long as the longest of its inputs has it, and no less than is usual. */
static void test_room_of_a_concat(void **state ATTR_UNUSED)
{
	struct istream *inputs[3] = { NULL, NULL, NULL }, *s;
	const unsigned char *data;
	unsigned int i;
	size_t size;

	for (i = 0; i < 2; i++) {
		inputs[i] = test_trickle_create("abcdef", 6, 1, false);
		i_stream_set_max_buffer_size(inputs[i], 2);
	}
	s = i_stream_create_concat(inputs);
	i_stream_unref(&inputs[0]);
	i_stream_unref(&inputs[1]);
	assert_int_equal(i_stream_read_bytes(s, &data, &size, 12), 1);
	assert_memory_equal(data, "abcdefabcdef", 12);
	i_stream_destroy(&s);
}

static void test_last_read_time(void **state ATTR_UNUSED)
{
	struct istream *s = test_trickle_create("ab", 2, 1, false);
	struct timeval first, later;
	struct timespec now;

	i_stream_get_last_read_time(s, &first);
	assert_int_equal(first.tv_sec, 0);
	assert_int_equal(first.tv_usec, 0);
	assert_int_equal(i_stream_read(s), 1);
	i_stream_get_last_read_time(s, &first);
	assert_true(first.tv_sec > 0);
	/* a read that gives nothing does not count, however late it is */
	assert_int_equal(i_stream_read(s), 1);
	i_stream_get_last_read_time(s, &first);
	do {
		assert_int_equal(clock_gettime(CLOCK_REALTIME_COARSE, &now), 0);
	} while (now.tv_sec == first.tv_sec &&
		 now.tv_nsec / 1000 == first.tv_usec);
	assert_int_equal(i_stream_read(s), -1);
	i_stream_get_last_read_time(s, &later);
	assert_memory_equal(&first, &later, sizeof(first));
	i_stream_destroy(&s);
}

static int setup(void **state ATTR_UNUSED)
{
	buffer_t *file = buffer_create_dynamic(default_pool, SIZE);
	unsigned char *data = test_data(TEST_DATA_RANDOM, SIZE);
	struct ostream *end, *output;

	test_write_file(test_path("plain"), data, SIZE);
	end = o_stream_create_buffer(file);
	output = o_stream_create_multiplex(end, 0,
					   OSTREAM_MULTIPLEX_FORMAT_PACKET);
	o_stream_nsend(output, data, SIZE);
	assert_int_equal(o_stream_finish(output), 1);
	o_stream_destroy(&output);
	o_stream_destroy(&end);
	test_write_file(test_path("packets"), file->data, file->used);
	buffer_free(&file);
	file = test_encode(transform_create_gzip_encoder(1), data, SIZE);
	test_write_file(test_path("zipped"), file->data, file->used);
	buffer_free(&file);
	free(data);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_descriptor),
		cmocka_unit_test(test_no_descriptor),
		cmocka_unit_test(test_path_of_a_fifo),
		cmocka_unit_test(test_sent_to_a_file),
		cmocka_unit_test(test_seen_when_sent),
		cmocka_unit_test(test_size_of_a_concat),
		cmocka_unit_test(test_size_of_a_decoder),
		cmocka_unit_test(test_no_size),
		cmocka_unit_test(test_read_eof),
		cmocka_unit_test(test_first_error),
		cmocka_unit_test(test_skip_behind_the_end),
		cmocka_unit_test(test_cannot_go_back),
		cmocka_unit_test(test_depth_of_concats),
		cmocka_unit_test(test_room_of_a_concat),
		cmocka_unit_test(test_last_read_time),
	};

	return cmocka_run_group_tests_name("istream-state", tests, setup, NULL);
}
