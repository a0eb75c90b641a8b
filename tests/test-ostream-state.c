/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What output streams say of themselves, and what those refuse that lie on top of
   others. */

#include "config.h"
#include "hash-method.h"
#include "iostream-rawlog.h"
#include "test-faults.h"
#include "test-stream-common.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

static uint64_t hashed[64];
static struct test_told told;

static struct ostream *hash(struct ostream *output)
{
	const struct hash_method *method = hash_method_lookup("crc32");

	assert_true(method->context_size <= sizeof(hashed));
	method->init(hashed);
	return o_stream_create_hash(output, method, hashed);
}

static struct ostream *progress(struct ostream *output)
{
	memset(&told, 0, sizeof(told));
	return o_stream_create_progress(output, 0, test_tell, &told);
}

static struct ostream *logged(struct ostream *output)
{
	return o_stream_create_rawlog_from_stream(output,
						  o_stream_create_null(), 0);
}

static struct ostream *fails(struct ostream *output)
{
	return o_stream_create_failure_at(output, 100, "failure");
}

static struct ostream *limit(struct ostream *output)
{
	return o_stream_create_limit(output, 100);
}

static struct ostream *channel(struct ostream *output)
{
	return o_stream_create_multiplex(output, 0,
					 OSTREAM_MULTIPLEX_FORMAT_PACKET);
}

static struct ostream *tee_of(struct ostream *output)
{
	struct ostream *outputs[] = { output, NULL };

	return o_stream_create_tee(outputs);
}

static struct ostream *(*const filters[])(struct ostream *output) = {
	o_stream_create_passthrough,
	hash,
	progress,
	logged,
	fails,
	limit,
	channel,
	tee_of,
	o_stream_create_hex
};

/* Theirs is the one below. */
static void test_descriptor(void **state ATTR_UNUSED)
{
	struct ostream *end, *s;
	size_t i;
	int fd;

	for (i = 0; i < N_ELEMENTS(filters); i++) {
		if (filters[i] == tee_of)
			continue;
		end = o_stream_create_file(test_path("file"), 0, 0600, 0);
		fd = o_stream_get_fd(end);
		assert_true(fd >= 0);
		s = filters[i](end);
		assert_int_equal(o_stream_get_fd(s), fd);
		o_stream_abort(s);
		o_stream_destroy(&s);
		o_stream_destroy(&end);
		end = o_stream_create_null();
		s = filters[i](end);
		assert_int_equal(o_stream_get_fd(s), -1);
		o_stream_abort(s);
		o_stream_destroy(&s);
		o_stream_destroy(&end);
	}
}

/* Also on top of what can be seeked: offsets are not the same there. */
static void test_no_seeking(void **state ATTR_UNUSED)
{
	struct ostream *end, *s;
	size_t i;
	int seek;

	for (i = 0; i < N_ELEMENTS(filters); i++) {
		for (seek = 0; seek < 2; seek++) {
			end = o_stream_create_file(test_path("file"), 0, 0600,
						   0);
			s = filters[i](end);
			assert_int_equal(o_stream_send_str(s, "abc"), 3);
			assert_int_equal(seek != 0 ?
						 o_stream_seek(s, 0) :
						 o_stream_pwrite(s, "x", 1, 0),
					 -1);
			assert_int_equal(s->stream_errno, ESPIPE);
			assert_int_equal(s->offset, 3);
			assert_int_equal(end->stream_errno, 0);
			o_stream_abort(s);
			o_stream_destroy(&s);
			o_stream_destroy(&end);
		}
	}
}

/* Whoever is asked. */
static void test_flush_fails_below(void **state ATTR_UNUSED)
{
	struct ostream *null, *end, *s;
	size_t i;

	for (i = 0; i < N_ELEMENTS(filters); i++) {
		null = o_stream_create_null();
		end = o_stream_create_failure_at_flush(null, "cannot flush");
		s = filters[i](end);
		assert_int_equal(o_stream_send_str(s, "abc"), 3);
		assert_int_equal(o_stream_flush(s), -1);
		assert_int_equal(s->stream_errno, EIO);
		assert_string_equal(o_stream_get_error(s), "cannot flush");
		o_stream_abort(s);
		o_stream_destroy(&s);
		o_stream_destroy(&end);
		o_stream_destroy(&null);
	}
}

static void test_no_channel(void **state ATTR_UNUSED)
{
	struct ostream *s = o_stream_create_null();

	EXPECT_PANIC("multiplex", (void)o_stream_multiplex_add_channel(s, 1));
	EXPECT_PANIC("multiplex", (void)o_stream_multiplex_get_channel_id(s));
	o_stream_destroy(&s);
}

/*
 * o_stream_nsend_istream(): what nobody looks at yet is told by the flush
 */

struct outcome {
	const char *name;
	struct istream *(*input)(void);
	size_t room;
	int error;
	const char *text;
	const char *got;
};

static struct istream *all(void)
{
	return i_stream_create_from_data("abcdef", 6);
}

static struct istream *pauses(void)
{
	return test_trickle_create("abcdef", 6, 3, true);
}

static struct istream *breaks(void)
{
	struct istream *input = all(), *s;

	s = i_stream_create_failure_at(input, 4, EIO, "disk gone");
	i_stream_unref(&input);
	return s;
}

static const struct outcome outcomes[] = {
	{ "all", all, 100, 0, "", "abcdef" },
	{ "too little room", all, 4, ENOBUFS, "buffer was full", "abcd" },
	{ "nothing to read now", pauses, 100, EAGAIN, "nothing to read now",
	  "abc" },
	{ "failing input", breaks, 100, EIO, "disk gone", "abcd" },
};

static void test_nsend_istream(void **state ATTR_UNUSED)
{
	const struct outcome *o;
	struct test_sink *sink;
	struct istream *input;
	struct ostream *s;

	for (o = outcomes; o < outcomes + N_ELEMENTS(outcomes); o++) {
		sink = test_sink_create(o->room, 0);
		s = o_stream_create_passthrough(sink->stream);
		input = o->input();
		o_stream_nsend_istream(s, input);
		/* what follows an error is nothing, room or not */
		test_sink_allow(sink, 10);
		if (o->error != 0)
			o_stream_nsend_str(s, "x");
		assert_int_equal(o_stream_flush(s), o->error == 0 ? 1 : -1);
		if (s->stream_errno != o->error ||
		    strstr(o_stream_get_error(s), o->text) == NULL)
			fail_msg("%s: %s", o->name, o_stream_get_error(s));
		assert_string_equal(buffer_c_str(sink->data), o->got);
		o_stream_destroy(&s);
		i_stream_destroy(&input);
		test_sink_free(&sink);
	}
}

/* Also where all went well: nobody has looked. */
static void test_nsend_istream_unchecked(void **state ATTR_UNUSED)
{
	struct test_sink *sink = test_sink_create(SIZE_MAX, 0);
	struct ostream *s = o_stream_create_passthrough(sink->stream);
	struct istream *input = all();

	o_stream_nsend_istream(s, input);
	EXPECT_PANIC("missing error handling", o_stream_destroy(&s));
	o_stream_ignore_last_errors(s);
	o_stream_destroy(&s);
	i_stream_destroy(&input);
	test_sink_free(&sink);
}

/*
 * What passed before an error counts
 */

struct room {
	size_t left;
	bool is_full;
};

static ssize_t takes_what_fits(void *context, const void *data ATTR_UNUSED,
			       size_t size, const char **error_r ATTR_UNUSED)
{
	struct room *room = context;

	/* nobody asks again */
	assert_false(room->is_full);
	if (room->left == 0) {
		room->is_full = true;
		errno = ENOSPC;
		return -1;
	}
	size = I_MIN(size, room->left);
	room->left -= size;
	return (ssize_t)size;
}

static struct ostream *full_callback(struct ostream *null ATTR_UNUSED)
{
	static const struct ostream_callback_methods methods = {
		.write = takes_what_fits
	};
	static struct room room;

	room = (struct room){ .left = 3 };
	return o_stream_create_callback(&methods, &room, 4);
}

static struct ostream *full_disk(struct ostream *null ATTR_UNUSED)
{
	test_faults.max_write = 3;
	test_faults.fail_at[TEST_OP_WRITE] = 2;
	test_faults.fail_errno[TEST_OP_WRITE] = ENOSPC;
	return o_stream_create_file(test_path("full"), 0, 0600, 0);
}

static struct ostream *fails_at_three(struct ostream *null)
{
	return o_stream_create_failure_at(null, 3, "failure");
}

static struct ostream *limit_of_three(struct ostream *null)
{
	return o_stream_create_limit(null, 3);
}

static struct ostream *(*const ends_of_three[])(struct ostream *null) = {
	full_callback, full_disk, fails_at_three, limit_of_three
};

/* The same from a pipe, of which it has read all already. */
static struct istream *all_of_a_pipe(void)
{
	struct istream *input;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "abcdef", 6), 6);
	assert_int_equal(close(fds[1]), 0);
	input = i_stream_create_fd_autoclose(&fds[0], 1024);
	assert_int_equal(i_stream_read(input), 6);
	return input;
}

enum way {
	SEND,
	SENDV,
	SEND_ISTREAM,
	SEND_PIPE,
	WAY_COUNT
};

static void send_all(struct ostream *s, enum way way)
{
	static const struct const_iovec iov[] = { { "abcd", 4 }, { "ef", 2 } };
	struct istream *input = way == SEND_PIPE ? all_of_a_pipe() : all();

	if (way == SEND) {
		assert_int_equal(o_stream_send(s, "abcdef", 6), -1);
	} else if (way == SENDV) {
		assert_int_equal(o_stream_sendv(s, iov, 2), -1);
	} else {
		assert_int_equal(o_stream_send_istream(s, input),
				 OSTREAM_SEND_ISTREAM_RESULT_ERROR_OUTPUT);
		assert_int_equal(input->v_offset, 3);
	}
	i_stream_destroy(&input);
}

static struct ostream *itself(struct ostream *output)
{
	o_stream_ref(output);
	return output;
}

static void test_what_passed_counts(void **state ATTR_UNUSED)
{
	struct ostream *(*const passing[])(struct ostream * output) = {
		itself, o_stream_create_passthrough, hash, progress, logged
	};
	struct ostream *null = o_stream_create_null(), *end, *s;
	size_t i, j;
	enum way way;

	for (i = 0; i < N_ELEMENTS(ends_of_three) * WAY_COUNT; i++) {
		for (j = 0; j < N_ELEMENTS(passing); j++) {
			test_faults_begin();
			way = (enum way)(i % WAY_COUNT);
			end = ends_of_three[i / WAY_COUNT](null);
			s = passing[j](end);
			send_all(s, way);
			assert_int_equal(end->offset, 3);
			assert_int_equal(s->offset, 3);
			assert_false(s->overflow);
			assert_int_equal(s->stream_errno, end->stream_errno);
			assert_int_not_equal(s->stream_errno, 0);
			/* it was told already */
			o_stream_nsend_str(s, "more");
			o_stream_unref(&s);
			o_stream_destroy(&end);
			test_faults_end();
		}
	}
	o_stream_destroy(&null);
}

/*
 * Closed ones, and time
 */

/* Whatever it gathered before. */
static void test_closed_takes_nothing(void **state ATTR_UNUSED)
{
	struct test_sink *sink;
	struct ostream *s, *file;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		sink = test_sink_create(SIZE_MAX, 0);
		file = o_stream_create_file(test_path("file"), 0, 0600, 0);
		s = o_stream_create_hex(i == 0 ? sink->stream : file);
		o_stream_cork(s);
		assert_int_equal(o_stream_send_str(s, "abc"), 3);
		assert_int_equal(o_stream_send_str(s, "def"), 3);
		o_stream_abort(s);
		o_stream_close(s);
		assert_int_equal(o_stream_send_str(s, "ghi"), -1);
		assert_int_equal(s->offset, 6);
		assert_int_equal(errno, EPIPE);
		o_stream_destroy(&s);
		o_stream_destroy(&file);
		test_sink_free(&sink);
	}
}

/* A flush that has nothing to send accepts nothing. */
/* What was finished is whole, in whatever order its streams go. */
static void test_parent_goes_first(void **state ATTR_UNUSED)
{
	struct ostream *end, *s;
	buffer_t *buf;
	size_t i;

	for (i = 0; i < N_ELEMENTS(filters); i++) {
		buf = buffer_create_dynamic(default_pool, 64);
		end = o_stream_create_buffer(buf);
		s = filters[i](end);
		o_stream_cork(s);
		o_stream_nsend_str(s, "hello");
		assert_int_equal(o_stream_finish(s), 1);
		o_stream_destroy(&end);
		o_stream_destroy(&s);
		assert_true(buf->used > 0);
		buffer_free(&buf);
	}
}

/* Without a finish, what a stream gave to its parent is the parent's, and what it still
   has is lost. */
static void test_parent_goes_before_a_finish(void **state ATTR_UNUSED)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 64);
	struct ostream *end = o_stream_create_buffer(buf);
	struct ostream *s = o_stream_create_passthrough(end);

	o_stream_nsend_str(s, "hello");
	assert_int_equal(o_stream_flush(s), 1);
	o_stream_destroy(&end);
	o_stream_destroy(&s);
	assert_string_equal(buffer_c_str(buf), "hello");

	end = o_stream_create_buffer(buf);
	s = channel(end);
	o_stream_cork(s);
	assert_int_equal(o_stream_send_str(s, "hello"), 5);
	o_stream_destroy(&end);
	EXPECT_PANIC("missing error handling", o_stream_destroy(&s););
	o_stream_ignore_last_errors(s);
	o_stream_unref(&s);
	buffer_free(&buf);
}

static void test_last_write_time(void **state ATTR_UNUSED)
{
	struct ostream *s = o_stream_create_file(test_path("file"), 0, 0600, 0);
	struct timeval first, later;
	struct timespec now;

	o_stream_cork(s);
	assert_int_equal(o_stream_send_str(s, "abc"), 3);
	assert_int_equal(o_stream_flush(s), 1);
	o_stream_get_last_write_time(s, &first);
	assert_true(first.tv_sec > 0);
	do {
		assert_int_equal(clock_gettime(CLOCK_REALTIME_COARSE, &now), 0);
	} while (now.tv_sec == first.tv_sec &&
		 now.tv_nsec / 1000 == first.tv_usec);
	assert_int_equal(o_stream_flush(s), 1);
	o_stream_get_last_write_time(s, &later);
	assert_memory_equal(&first, &later, sizeof(first));
	assert_int_equal(o_stream_finish(s), 1);
	o_stream_destroy(&s);
}

struct last_look {
	struct ostream *output;
	size_t used, avail;
	int fd, flushed;
};

static void look_at_output(struct last_look *look)
{
	look->used = o_stream_get_buffer_used_size(look->output);
	look->avail = o_stream_get_buffer_avail_size(look->output);
	look->fd = o_stream_get_fd(look->output);
	o_stream_set_max_buffer_size(look->output, 10);
	o_stream_set_flush_pending(look->output, true);
	look->flushed = o_stream_flush(look->output);
}

/* What the class held is gone when the callback is called, its methods, too. */
static void
test_destroy_callback_finds_an_empty_stream(void **state ATTR_UNUSED)
{
	struct last_look look = { .used = 99, .flushed = 99 };
	struct ostream *outputs[] = { o_stream_create_null(),
				      o_stream_create_null(), NULL };

	look.output = o_stream_create_tee(outputs);
	o_stream_unref(&outputs[0]);
	o_stream_unref(&outputs[1]);
	o_stream_nsend(look.output, "text", 4);
	assert_int_equal(o_stream_finish(look.output), 1);
	o_stream_add_destroy_callback(look.output, look_at_output, &look);
	o_stream_unref(&(struct ostream *){ look.output });
	assert_int_equal(look.used, 0);
	assert_int_equal(look.avail, SIZE_MAX);
	assert_int_equal(look.fd, -1);
	assert_int_equal(look.flushed, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_descriptor),
		cmocka_unit_test(test_no_seeking),
		cmocka_unit_test(test_flush_fails_below),
		cmocka_unit_test(test_no_channel),
		cmocka_unit_test(test_nsend_istream),
		cmocka_unit_test(test_nsend_istream_unchecked),
		cmocka_unit_test(test_what_passed_counts),
		cmocka_unit_test(test_closed_takes_nothing),
		cmocka_unit_test(test_parent_goes_first),
		cmocka_unit_test(test_parent_goes_before_a_finish),
		cmocka_unit_test(test_last_write_time),
		cmocka_unit_test(test_destroy_callback_finds_an_empty_stream),
	};

	return cmocka_run_group_tests_name("ostream-state", tests, NULL, NULL);
}
