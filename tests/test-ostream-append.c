/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Small sends are appended to a buffer without asking the class. Whatever happens to
   a stream between two of them, the second one must see it. */

#include "config.h"
#include "ostream.h"
#include "ostream-filters.h"
#include "test-common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* Each class that has a buffer, over something that keeps what comes out. */
static const char *const classes[] = { "file", "buffer", "callback", "gzip",
				       "dot" };

struct rig {
	struct ostream *end, *stream;
	buffer_t *buf;
	int fd;
};

static ssize_t append(void *context, const void *data, size_t size,
		      const char **error_r ATTR_UNUSED)
{
	buffer_append(context, data, size);
	return (ssize_t)size;
}

static const struct ostream_callback_methods append_methods = {
	.write = append
};

static void rig_init(struct rig *rig, const char *class_)
{
	memset(rig, 0, sizeof(*rig));
	rig->fd = -1;
	if (strcmp(class_, "file") == 0) {
		rig->fd = open(test_path("out"), O_RDWR | O_CREAT | O_TRUNC,
			       0600);
		assert_true(rig->fd >= 0);
		rig->end = o_stream_create_fd(rig->fd, 0);
	} else {
		rig->buf = buffer_create_dynamic(default_pool, 4096);
		rig->end = strcmp(class_, "callback") == 0 ?
			o_stream_create_callback(&append_methods, rig->buf, 0) :
			o_stream_create_buffer(rig->buf);
	}
	if (strcmp(class_, "gzip") == 0)
		rig->stream = o_stream_create_gzip(rig->end, 1);
	else if (strcmp(class_, "dot") == 0)
		rig->stream = o_stream_create_dot(rig->end, false);
	else
		o_stream_ref(rig->stream = rig->end);
	o_stream_set_no_error_handling(rig->stream, true);
	o_stream_cork(rig->stream);
	/* the second one goes the short way */
	assert_int_equal(o_stream_send(rig->stream, "one\n", 4), 4);
	assert_int_equal(o_stream_send(rig->stream, "two\n", 4), 4);
}

static void rig_deinit(struct rig *rig)
{
	o_stream_abort(rig->stream);
	o_stream_destroy(&rig->stream);
	o_stream_destroy(&rig->end);
	buffer_free(&rig->buf);
	(void)file_close(&rig->fd);
}

static void check_states(const char *class_)
{
	struct rig rig;

	rig_init(&rig, class_);
	assert_int_equal(rig.stream->offset, 8);
	o_stream_abort(rig.stream);
	assert_int_equal(o_stream_send(rig.stream, "x", 1), -1);
	assert_int_equal(rig.stream->stream_errno, EPIPE);
	rig_deinit(&rig);

	rig_init(&rig, class_);
	assert_int_equal(o_stream_finish(rig.stream), 1);
	EXPECT_PANIC("write after finish",
		     (void)!o_stream_send(rig.stream, "x", 1));
	EXPECT_PANIC("write after finish", o_stream_nsend(rig.stream, "x", 1));
	o_stream_close(rig.stream);
	assert_int_equal(o_stream_send(rig.stream, "x", 1), -1);
	rig_deinit(&rig);

	/* a flush has met what the stream below met before */
	rig_init(&rig, class_);
	if (rig.end != rig.stream) {
		o_stream_abort(rig.end);
		assert_int_equal(o_stream_flush(rig.stream), -1);
		assert_int_equal(o_stream_send(rig.stream, "x", 1), -1);
		assert_int_equal(rig.stream->offset, 8);
	}
	rig_deinit(&rig);

	/* nothing is nothing, also here */
	rig_init(&rig, class_);
	assert_int_equal(o_stream_send(rig.stream, "", 0), 0);
	assert_int_equal(rig.stream->offset, 8);
	rig_deinit(&rig);
}

static void test_states(void **state ATTR_UNUSED)
{
	size_t i;

	for (i = 0; i < N_ELEMENTS(classes); i++)
		check_states(classes[i]);
}

/* An nsend by the short way is as unchecked as any. */
static void test_unchecked(void **state ATTR_UNUSED)
{
	struct ostream *stream;
	buffer_t *buf = buffer_create_dynamic(default_pool, 4096);

	stream = o_stream_create_buffer(buf);
	assert_int_equal(o_stream_send(stream, "x", 1), 1);
	o_stream_nsend(stream, "y", 1);
	assert_int_equal(buf->used, 2);
	EXPECT_PANIC("is missing error handling", o_stream_destroy(&stream));
	o_stream_ignore_last_errors(stream);
	o_stream_destroy(&stream);
	buffer_free(&buf);
}

static void test_uncorked(void **state ATTR_UNUSED)
{
	struct rig rig;
	buffer_t *file;

	rig_init(&rig, "file");
	o_stream_uncork(rig.stream);
	assert_int_equal(o_stream_send(rig.stream, "three\n", 6), 6);
	file = test_read_file(test_path("out"));
	assert_int_equal(file->used, 14);
	buffer_free(&file);
	rig_deinit(&rig);
}

static void test_seek_and_pwrite(void **state ATTR_UNUSED)
{
	static const char *const seekable[] = { "file", "buffer" };
	struct rig rig;
	buffer_t *file;
	size_t i;

	for (i = 0; i < N_ELEMENTS(seekable); i++) {
		rig_init(&rig, seekable[i]);
		assert_int_equal(o_stream_pwrite(rig.stream, "T", 1, 4), 0);
		assert_int_equal(o_stream_send(rig.stream, "three\n", 6), 6);
		assert_int_equal(o_stream_seek(rig.stream, 1), 1);
		assert_int_equal(o_stream_send(rig.stream, "N", 1), 1);
		assert_int_equal(o_stream_send(rig.stream, "E", 1), 1);
		assert_int_equal(rig.stream->offset, 3);
		assert_int_equal(o_stream_finish(rig.stream), 1);
		file = rig.buf != NULL ? rig.buf :
					 test_read_file(test_path("out"));
		assert_int_equal(file->used, 14);
		assert_memory_equal(file->data, "oNE\nTwo\nthree\n", 14);
		if (rig.buf == NULL)
			buffer_free(&file);
		rig_deinit(&rig);
	}
}

/* Who owns the buffer may take out of it what is there, or add to it. */
static void test_buffer_of_the_caller(void **state ATTR_UNUSED)
{
	struct rig rig;
	unsigned int i;

	rig_init(&rig, "buffer");
	buffer_set_used_size(rig.buf, 0);
	assert_int_equal(o_stream_send(rig.stream, "three\n", 6), 6);
	assert_int_equal(rig.buf->used, 6);
	assert_memory_equal(rig.buf->data, "three\n", 6);
	for (i = 0; i < 5000; i++)
		buffer_append_c(rig.buf, '+');
	assert_int_equal(o_stream_send(rig.stream, "four\n", 5), 5);
	assert_int_equal(rig.buf->used, 5011);
	assert_memory_equal(rig.buf->data + 5006, "four\n", 5);
	assert_int_equal(rig.stream->offset, 19);
	rig_deinit(&rig);
}

/* A buffer of fixed size is filled to its last byte, and no farther. */
static void test_fixed_buffer(void **state ATTR_UNUSED)
{
	unsigned char memory[11];
	struct ostream *stream;
	unsigned int i;
	buffer_t buf;

	memory[10] = '!';
	buffer_create_from_data(&buf, memory, 10);
	stream = o_stream_create_buffer(&buf);
	o_stream_set_no_error_handling(stream, true);
	for (i = 0; i < 3; i++)
		assert_int_equal(o_stream_send(stream, "abc", 3), 3);
	assert_int_equal(o_stream_send(stream, "abc", 3), 1);
	assert_true(stream->overflow);
	assert_int_equal(o_stream_send(stream, "abc", 3), 0);
	assert_memory_equal(memory, "abcabcabca!", 11);
	o_stream_destroy(&stream);
}

/* A smaller limit holds at once. */
static void test_limit(void **state ATTR_UNUSED)
{
	struct ostream *stream;
	int fds[2], size = 4096;
	char block[4096];
	ssize_t ret;

	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	(void)setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	memset(block, 'x', sizeof(block));
	while (write(fds[0], block, sizeof(block)) > 0)
		;
	stream = o_stream_create_fd(fds[0], 0);
	o_stream_set_no_error_handling(stream, true);
	o_stream_cork(stream);
	assert_int_equal(o_stream_send(stream, "12", 2), 2);
	assert_int_equal(o_stream_send(stream, "34", 2), 2);
	o_stream_set_max_buffer_size(stream, 5);
	ret = o_stream_send(stream, "56", 2);
	assert_int_equal(ret, 1);
	assert_int_equal(o_stream_send(stream, "6", 1), 0);
	assert_int_equal(o_stream_get_buffer_used_size(stream), 5);
	o_stream_set_max_buffer_size(stream, 8);
	assert_int_equal(o_stream_send(stream, "678", 3), 3);
	assert_int_equal(o_stream_send(stream, "9", 1), 0);
	o_stream_abort(stream);
	o_stream_destroy(&stream);
	(void)file_close(&fds[0]);
	(void)file_close(&fds[1]);
}

/* More than any block, in pieces that meet its end in every way. */
static void test_pieces(void **state ATTR_UNUSED)
{
	static const size_t sizes[] = { 1, 7, 64, 4095, 16384, 16385 };
	const size_t total = 200000;
	unsigned char *data = test_data(TEST_DATA_RANDOM, total);
	struct rig rig;
	buffer_t *out;
	size_t i, pos, n;

	for (i = 0; i < N_ELEMENTS(sizes); i++) {
		rig_init(&rig, "file");
		for (pos = 0; pos < total; pos += n) {
			n = I_MIN(sizes[i], total - pos);
			assert_int_equal(
				o_stream_send(rig.stream, data + pos, n), n);
		}
		assert_int_equal(rig.stream->offset, total + 8);
		assert_int_equal(o_stream_finish(rig.stream), 1);
		out = test_read_file(test_path("out"));
		assert_int_equal(out->used, total + 8);
		assert_memory_equal(out->data + 8, data, total);
		buffer_free(&out);
		rig_deinit(&rig);
	}
	free(data);
}

static void test_last_write_time(void **state ATTR_UNUSED)
{
	struct timeval before, after, tv;
	struct rig rig;
	size_t i;

	for (i = 0; i < N_ELEMENTS(classes); i++) {
		assert_int_equal(gettimeofday(&before, NULL), 0);
		rig_init(&rig, classes[i]);
		o_stream_get_last_write_time(rig.stream, &tv);
		assert_int_equal(gettimeofday(&after, NULL), 0);
		/* the clock is a coarse one */
		assert_true(tv.tv_sec >= before.tv_sec - 1 &&
			    tv.tv_sec <= after.tv_sec);
		rig_deinit(&rig);
	}
	rig.end = o_stream_create_null();
	o_stream_get_last_write_time(rig.end, &tv);
	assert_int_equal(tv.tv_sec, 0);
	o_stream_destroy(&rig.end);
	/* a flush of nothing is no write */
	rig.end = o_stream_create_file(test_path("none"), 0, 0600, 0);
	assert_int_equal(o_stream_flush(rig.end), 1);
	o_stream_get_last_write_time(rig.end, &tv);
	assert_int_equal(tv.tv_sec, 0);
	o_stream_destroy(&rig.end);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_unchecked),
		cmocka_unit_test(test_uncorked),
		cmocka_unit_test(test_seek_and_pwrite),
		cmocka_unit_test(test_buffer_of_the_caller),
		cmocka_unit_test(test_fixed_buffer),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_last_write_time),
	};

	return cmocka_run_group_tests_name("ostream-append", tests, NULL, NULL);
}
