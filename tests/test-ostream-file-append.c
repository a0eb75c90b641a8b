/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Files that are only appended to, whoever opened them. */

#include "config.h"
#include "istream.h"
#include "test-stream-common.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define SIZE 200000

static void file_has(const void *want, size_t size)
{
	buffer_t *buf = test_read_file(test_path("f"));

	assert_int_equal(buf->used, size);
	assert_memory_equal(buf->data, want, size);
	buffer_free(&buf);
}

/* Each way to a stream that appends to the file, as it is. */
static struct ostream *append_to_file(int which)
{
	struct ostream *s;
	int fd;

	if (which == 0)
		return o_stream_create_file(test_path("f"), 0, 0600,
					    OSTREAM_CREATE_FILE_FLAG_APPEND);
	fd = open(test_path("f"), O_RDWR | O_APPEND | O_CLOEXEC);
	assert_true(fd >= 0);
	switch (which) {
	case 1:
		s = o_stream_create_fd_autoclose(&fd, 0);
		break;
	case 2:
		assert_true(lseek(fd, 0, SEEK_END) > 0);
		s = o_stream_create_fd_autoclose(&fd, 0);
		break;
	default:
		s = o_stream_create_fd_file_autoclose(&fd, 3);
		break;
	}
	return s;
}

#define WAYS 4

static void test_no_way_back(void **state ATTR_UNUSED)
{
	struct ostream *s;
	int which;

	for (which = 0; which < 2 * WAYS; which++) {
		test_write_file(test_path("f"), "12345", 5);
		s = append_to_file(which / 2);
		assert_true(s->blocking);
		assert_int_equal(o_stream_send_str(s, "67"), 2);
		if (which % 2 == 0)
			assert_int_equal(o_stream_pwrite(s, "X", 1, 1), -1);
		else
			assert_int_equal(o_stream_seek(s, 1), -1);
		assert_int_equal(s->stream_errno, ESPIPE);
		assert_non_null(
			strstr(o_stream_get_error(s), "only appended to"));
		o_stream_ignore_last_errors(s);
		o_stream_destroy(&s);
		file_has("1234567", 7);
	}
}

/* All of the file, or its end, behind itself: once. */
static void test_the_file_itself(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, SIZE);
	unsigned char *want = malloc(2 * (size_t)SIZE);
	struct istream *input;
	struct ostream *s;
	size_t skip;
	int which;

	assert_non_null(want);
	for (which = 0; which < 2 * WAYS; which++) {
		skip = which % 2 == 0 ? 0 : 1234;
		memcpy(want, data, SIZE);
		memcpy(want + SIZE, data + skip, SIZE - skip);
		test_write_file(test_path("f"), data, SIZE);
		input = i_stream_create_file(test_path("f"), 0);
		i_stream_skip(input, skip);
		s = append_to_file(which / 2);
		assert_int_equal(o_stream_send_istream(s, input),
				 OSTREAM_SEND_ISTREAM_RESULT_FINISHED);
		assert_true(input->eof);
		assert_int_equal(input->v_offset, SIZE);
		assert_int_equal(o_stream_finish(s), 1);
		o_stream_destroy(&s);
		i_stream_destroy(&input);
		file_has(want, 2 * (size_t)SIZE - skip);
	}
	free(want);
	free(data);
}

/* A file that would grow for ever is an error, and no full disk. */
static void limit_files(void)
{
	const struct rlimit limit = { 10 * SIZE, 10 * SIZE };

	(void)signal(SIGXFSZ, SIG_IGN);
	(void)setrlimit(RLIMIT_FSIZE, &limit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_way_back),
		cmocka_unit_test(test_the_file_itself),
	};

	limit_files();
	return cmocka_run_group_tests_name("ostream-file-append", tests, NULL,
					   NULL);
}
