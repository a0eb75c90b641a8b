/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Streams that show the memory of a parent: what they show is what is at their offset,
   however many of them lie on top of each other, and whoever used the parent since. */

#include "config.h"
#include "istream-filters.h"
#include "ostream-filters.h"
#include "test-stream-common.h"
#include "transforms.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define SIZE ((size_t)100000)

/* A view of all bytes, or of the first `end`. */
enum view {
	NOOP,
	LIMIT,
	SIZED,
	MAX_SIZE,
	MIN_SIZED,
	FAILURE_AT,
	VIEWS
};

static struct istream *view_of(enum view kind, struct istream *input,
			       uoff_t end)
{
	switch (kind) {
	case LIMIT:
		return i_stream_create_limit(input, end);
	case SIZED:
		return i_stream_create_sized(input, end);
	case MAX_SIZE:
		return i_stream_create_max_size(input, end);
	case MIN_SIZED:
		return i_stream_create_min_sized(input, end);
	case FAILURE_AT:
		return i_stream_create_failure_at(input, end, EIO, "failure");
	default:
		return i_stream_create_noop(input);
	}
}

static unsigned char byte_at(uoff_t offset)
{
	return (unsigned char)('a' + offset % 26);
}

static buffer_t *alphabet(void)
{
	buffer_t *text = buffer_create_dynamic(default_pool, SIZE);
	uoff_t i;

	for (i = 0; i < SIZE; i++)
		buffer_append_c(text, byte_at(i));
	return text;
}

static void must_show(struct istream *s)
{
	const unsigned char *data;
	size_t size;

	assert_int_equal(i_stream_read_more(s, &data, &size), 1);
	assert_int_equal(data[0], byte_at(s->v_offset));
	assert_int_equal(data[size - 1], byte_at(s->v_offset + size - 1));
}

/* Two parts of one file, each below so many views, are read by turns. */
static void test_parts_by_turns(void **state ATTR_UNUSED)
{
	struct istream *file, *parts[2], *upper;
	buffer_t *text = alphabet();
	const char *path = test_path("parts");
	unsigned int depth, i, part;
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text->data, 1, SIZE, f), SIZE);
	assert_int_equal(fclose(f), 0);
	for (depth = 0; depth < 4; depth++) {
		file = i_stream_create_file(path, 32);
		/* the second begins with the same letter */
		for (part = 0; part < 2; part++) {
			parts[part] = i_stream_create_range(
				file, part * (uoff_t)2600, 2600);
			for (i = 0; i < depth; i++) {
				upper = view_of(i % 2 == 0 ? NOOP : LIMIT,
						parts[part], 2600);
				i_stream_unref(&parts[part]);
				parts[part] = upper;
			}
		}
		for (i = 0; i < 2000; i++) {
			part = i % 3 == 0 ? 1 : 0;
			must_show(parts[part]);
			i_stream_skip(parts[part], 1);
		}
		i_stream_destroy(&parts[0]);
		i_stream_destroy(&parts[1]);
		i_stream_destroy(&file);
	}
	buffer_free(&text);
}

/* It is what they are of, where that has one. */
static void test_their_descriptor(void **state ATTR_UNUSED)
{
	struct istream *data = i_stream_create_from_data("abc", 3), *file, *s;
	int view;

	test_write_file(test_path("file"), "abc", 3);
	file = i_stream_create_file(test_path("file"), 32);
	must_show(file);
	assert_int_not_equal(i_stream_get_fd(file), -1);
	for (view = 0; view < VIEWS; view++) {
		s = view_of((enum view)view, data, 3);
		assert_int_equal(i_stream_get_fd(s), -1);
		i_stream_unref(&s);
		s = view_of((enum view)view, file, 3);
		assert_int_equal(i_stream_get_fd(s), i_stream_get_fd(file));
		i_stream_unref(&s);
	}
	i_stream_unref(&data);
	i_stream_unref(&file);
}

/* A decoder reads to its end to know its size, and returns to where it was. */
static void test_size_of_a_decoder_below(void **state ATTR_UNUSED)
{
	buffer_t *text = alphabet(), *file;
	struct istream *source, *input, *lower, *upper;
	struct ostream *end, *output;
	unsigned int a, b;
	uoff_t size;
	size_t shown;

	file = buffer_create_dynamic(default_pool, 1024);
	end = o_stream_create_buffer(file);
	output = o_stream_create_gzip(end, 6);
	o_stream_nsend(output, text->data, SIZE);
	assert_int_equal(o_stream_finish(output), 1);
	o_stream_destroy(&output);
	o_stream_destroy(&end);
	for (a = 0; a < VIEWS; a++) {
		for (b = 0; b < VIEWS; b++) {
			source = i_stream_create_from_data(file->data,
							   file->used);
			input = i_stream_create_gzip(source);
			lower = view_of((enum view)a, input, SIZE);
			upper = view_of((enum view)b, lower, SIZE);
			must_show(upper);
			i_stream_skip(upper, 10);
			assert_int_equal(i_stream_get_size(upper, true, &size),
					 1);
			assert_int_equal(size, SIZE);
			(void)i_stream_get_data(upper, &shown);
			must_show(upper);
			i_stream_destroy(&upper);
			i_stream_destroy(&lower);
			i_stream_destroy(&input);
			i_stream_destroy(&source);
		}
	}
	buffer_free(&file);
	buffer_free(&text);
}

/* What never comes does not count. */
static void test_size_of_what_is_cut(void **state ATTR_UNUSED)
{
	struct istream *source, *s;
	const struct stat *st = NULL;
	unsigned int kind;
	uoff_t size;

	for (kind = LIMIT; kind < VIEWS; kind++) {
		source = i_stream_create_from_data("0123456789", 10);
		s = view_of((enum view)kind, source, 4);
		assert_int_equal(i_stream_get_size(s, true, &size), 1);
		assert_int_equal(size, 4);
		assert_int_equal(i_stream_stat(s, true, &st), 0);
		assert_int_equal(st->st_size, 4);
		i_stream_destroy(&s);
		i_stream_destroy(&source);
	}
}

/* A parent that cannot go back says so, and nothing is shown instead. */
static void test_seeking_back_over_a_pipe(void **state ATTR_UNUSED)
{
	struct istream *pipe_input, *s;
	const unsigned char *data;
	buffer_t *text = alphabet();
	unsigned int kind;
	size_t size;
	int fds[2];

	for (kind = NOOP; kind <= VIEWS; kind++) {
		assert_int_equal(pipe(fds), 0);
		assert_int_equal(write(fds[1], text->data, 2000), 2000);
		assert_int_equal(close(fds[1]), 0);
		pipe_input = i_stream_create_fd_autoclose(&fds[0], 64);
		s = pipe_input;
		if (kind < VIEWS)
			s = view_of((enum view)kind, pipe_input, 2000);
		else
			i_stream_ref(s);
		while (s->v_offset < 1000) {
			must_show(s);
			i_stream_skip(s, i_stream_get_data_size(s));
		}
		must_show(s);
		i_stream_seek(s, 26);
		assert_int_equal(i_stream_read_more(s, &data, &size), -1);
		assert_int_equal(s->stream_errno, ESPIPE);
		assert_int_equal(size, 0);
		i_stream_destroy(&s);
		i_stream_destroy(&pipe_input);
	}
	buffer_free(&text);
}

/* One that has failed goes nowhere any more: who wants other bytes than it has left gets
   its error. */
static void test_parent_that_has_failed(void **state ATTR_UNUSED)
{
	struct istream *source, *parent, *first, *second;
	const unsigned char *data;
	size_t size;

	source = i_stream_create_from_data("abcdefgh", 8);
	parent = i_stream_create_failure_at(source, 6, EIO, "failure");
	first = i_stream_create_range(parent, 0, 8);
	second = i_stream_create_range(parent, 0, 8);
	must_show(first);
	i_stream_skip(first, 3);
	assert_int_equal(i_stream_read(first), -1);
	assert_int_equal(first->stream_errno, EIO);
	assert_int_equal(i_stream_read_more(second, &data, &size), -1);
	assert_int_equal(second->stream_errno, EIO);
	assert_int_equal(size, 0);
	i_stream_destroy(&first);
	i_stream_destroy(&second);
	i_stream_destroy(&parent);
	i_stream_destroy(&source);
}

/* Nor does who makes other bytes of them take what is left for what it has gone back to. */
static void test_parent_of_a_filter_that_has_failed(void **state ATTR_UNUSED)
{
	struct istream *parent, *s;
	const unsigned char *data;
	unsigned int i;
	size_t size;

	for (i = 0; i < 2; i++) {
		parent = i_stream_create_from_data("6162636465", 10);
		s = i == 0 ? i_stream_create_nonuls(parent, '-') :
			     i_stream_create_transform(
				     parent, transform_create_hex_decoder());
		i_stream_set_max_buffer_size(s, 2);
		assert_int_equal(i_stream_read(s), 2);
		i_stream_skip(s, 2);
		assert_int_equal(i_stream_read(s), 2);
		/* it had more */
		i_stream_close(parent);
		i_stream_seek(s, 0);
		assert_int_equal(i_stream_read_more(s, &data, &size), -1);
		assert_int_equal(s->stream_errno, EPIPE);
		assert_int_equal(size, 0);
		i_stream_destroy(&s);
		i_stream_destroy(&parent);
	}
}

/* A part of what cannot be seeked back begins farther on: nobody goes there before it is
   read. */
static void test_parts_of_what_cannot_go_back(void **state ATTR_UNUSED)
{
	static struct istream *(*const create[])(
		struct istream *, uoff_t,
		uoff_t) = { i_stream_create_range, i_stream_create_sized_range,
			    i_stream_create_min_sized_range };
	struct istream *source, *parent, *part;
	size_t i;

	for (i = 0; i < N_ELEMENTS(create); i++) {
		source = test_trickle_create("0123456789", 10, 2, false);
		parent = tee_i_stream_create_child(tee_i_stream_create(source));
		assert_int_equal(i_stream_read(parent), 2);
		i_stream_skip(parent, 1);
		part = create[i](parent, 4, 6);
		assert_int_equal(parent->v_offset, 1);
		test_gives(part, "456789", 0);
		assert_int_equal(parent->stream_errno, 0);
		i_stream_destroy(&parent);
		i_stream_destroy(&source);
	}
}

/* A stream in the middle was moved: its bytes are read anew, and are not new to who has
   them already. */
static void test_moved_in_the_middle(void **state ATTR_UNUSED)
{
	const char *path = test_path("moved");
	struct istream *file, *lower, *middle, *upper;
	unsigned int kind, max;

	test_write_file(path, "0123456789", 10);
	for (kind = NOOP; kind < FAILURE_AT; kind++) {
		for (max = 6; max <= 12; max += 6) {
			file = i_stream_create_file(path, max);
			lower = i_stream_create_noop(file);
			middle = view_of((enum view)kind, lower, 10);
			upper = i_stream_create_noop(middle);
			assert_int_equal(i_stream_read(upper), I_MIN(max, 10U));
			i_stream_skip(lower, 20);
			assert_int_equal(i_stream_read(upper),
					 max < 10 ? -2 : -1);
			assert_int_equal(upper->stream_errno, 0);
			i_stream_skip(upper, 2);
			test_gives(upper, "23456789", 0);
			i_stream_destroy(&middle);
			i_stream_destroy(&lower);
			i_stream_destroy(&file);
		}
	}
}

/* What follows a limit is not skipped with what is in it. */
static void test_skip_past_a_limit(void **state ATTR_UNUSED)
{
	const unsigned char *data;
	struct istream *input, *s;
	unsigned int reads;
	size_t size;

	for (reads = 0; reads < 2; reads++) {
		input = test_trickle_create("0123456789", 10, 3, false);
		i_stream_skip(input, 1);
		s = i_stream_create_limit(input, 4);
		i_stream_skip(s, 7);
		if (reads > 0)
			assert_int_equal(i_stream_read(s), -1);
		i_stream_destroy(&s);
		assert_int_equal(input->v_offset, 5);
		assert_int_equal(i_stream_read_more(input, &data, &size), 1);
		assert_int_equal(*data, '5');
		i_stream_destroy(&input);
	}
}

/* A view that nobody has read gives back nothing of what others have read of a pipe, nor
   does it fail for that; one that was read leaves the pipe where it was. */
static void test_view_of_a_pipe_goes(void **state ATTR_UNUSED)
{
	const unsigned char *data;
	struct istream *input, *s;
	unsigned int max;
	size_t size;
	int fds[2];

	for (max = 2; max <= 20; max += 9) {
		assert_int_equal(pipe(fds), 0);
		assert_int_equal(write(fds[1], "0123456789", 10), 10);
		assert_int_equal(close(fds[1]), 0);
		input = i_stream_create_fd_autoclose(&fds[0], max);
		s = i_stream_create_limit(input, 3);
		while (input->v_offset < 4) {
			assert_int_equal(
				i_stream_read_more(input, &data, &size), 1);
			i_stream_skip(input, I_MIN(size, (size_t)2));
		}
		i_stream_destroy(&s);
		assert_int_equal(input->stream_errno, 0);
		assert_int_equal(input->v_offset, 4);
		s = i_stream_create_noop(input);
		assert_int_equal(i_stream_read_bytes(s, &data, &size, 2), 1);
		i_stream_skip(s, 1);
		i_stream_destroy(&s);
		test_gives(input, "56789", 0);
	}
}

/* What is buffered below is read anew, whoever is asked to drop it. */
static void test_sync(void **state ATTR_UNUSED)
{
	const char *path = test_path("changed");
	struct istream *file, *lower, *upper;
	const unsigned char *data;
	unsigned int kind;
	size_t size;

	for (kind = NOOP; kind < VIEWS; kind++) {
		test_write_file(path, "old bytes", 9);
		file = i_stream_create_file(path, 32);
		lower = view_of((enum view)kind, file, 9);
		upper = i_stream_create_noop(lower);
		assert_int_equal(i_stream_read(file), 9);
		test_write_file(path, "new bytes", 9);
		i_stream_sync(upper);
		assert_int_equal(i_stream_get_data_size(file), 0);
		assert_int_equal(i_stream_read_more(upper, &data, &size), 1);
		assert_int_equal(size, 9);
		assert_memory_equal(data, "new bytes", 9);
		/* it stands where it stood */
		i_stream_seek(file, 4);
		test_write_file(path, "third one", 9);
		i_stream_sync(file);
		assert_int_equal(file->v_offset, 4);
		assert_int_equal(i_stream_read_more(file, &data, &size), 1);
		assert_int_equal(size, 5);
		assert_memory_equal(data, "d one", 5);
		i_stream_destroy(&upper);
		i_stream_destroy(&lower);
		i_stream_destroy(&file);
	}
}

/* What the parent cannot say is said to have failed. */
static void test_stat_fails(void **state ATTR_UNUSED)
{
	struct istream *file, *s;
	const struct stat *st;
	unsigned int kind;
	uoff_t size;

	for (kind = NOOP; kind < VIEWS; kind++) {
		file = i_stream_create_file(test_path("none"), 32);
		s = view_of((enum view)kind, file, 4);
		assert_int_equal(i_stream_stat(s, true, &st), -1);
		assert_int_equal(s->stream_errno, ENOENT);
		i_stream_destroy(&s);
		i_stream_destroy(&file);
		file = i_stream_create_file(test_path("none"), 32);
		s = view_of((enum view)kind, file, 4);
		assert_int_equal(i_stream_get_size(s, true, &size), -1);
		assert_int_equal(s->stream_errno, ENOENT);
		i_stream_destroy(&s);
		i_stream_destroy(&file);
	}
}

/* Nor of several, one of which is not there. */
static void test_stat_of_a_part_fails(void **state ATTR_UNUSED)
{
	struct istream *parts[3] = { NULL }, *s;
	const struct stat *st;
	unsigned int how;
	uoff_t size;

	for (how = 0; how < 2; how++) {
		parts[0] = i_stream_create_from_data("0123", 4);
		parts[1] = i_stream_create_file(test_path("none"), 32);
		s = i_stream_create_concat(parts);
		if (how == 0)
			assert_int_equal(i_stream_stat(s, true, &st), -1);
		else
			assert_int_equal(i_stream_get_size(s, true, &size), -1);
		assert_int_equal(s->stream_errno, ENOENT);
		assert_non_null(strstr(i_stream_get_error(s), "none"));
		i_stream_destroy(&s);
		i_stream_destroy(&parts[0]);
		i_stream_destroy(&parts[1]);
	}
}

/* Nobody knows how much comes out of a pipe: a limit is an estimate, and no more. */
static void test_size_of_a_pipe(void **state ATTR_UNUSED)
{
	struct istream *input, *s;
	unsigned int kind;
	uoff_t size;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	input = i_stream_create_fd(fds[0], 64);
	for (kind = NOOP; kind < VIEWS; kind++) {
		s = view_of((enum view)kind, input, 4);
		assert_int_equal(i_stream_get_size(s, true, &size), 0);
		assert_int_equal(i_stream_get_size(s, false, &size),
				 kind == NOOP ? 0 : 1);
		if (kind != NOOP)
			assert_int_equal(size, 4);
		i_stream_destroy(&s);
	}
	i_stream_destroy(&input);
	assert_int_equal(close(fds[0]) | close(fds[1]), 0);
	/* what is known is no estimate */
	input = i_stream_create_from_data("ab", 2);
	for (kind = NOOP; kind < VIEWS; kind++) {
		s = view_of((enum view)kind, input, 4);
		assert_int_equal(i_stream_get_size(s, false, &size), 1);
		assert_int_equal(size, 2);
		i_stream_destroy(&s);
	}
	i_stream_destroy(&input);
}

/* What a view shows of the parent's buffer is dropped with that. */
static void test_sync_of_what_is_shown(void **state ATTR_UNUSED)
{
	const char *path = test_path("changed");
	struct istream *file, *lower, *upper;
	const unsigned char *data;
	unsigned int kind, which;
	size_t size;

	for (kind = NOOP; kind < VIEWS; kind++) {
		for (which = 0; which < 3; which++) {
			test_write_file(path, "old bytes", 9);
			file = i_stream_create_file(path, 32);
			lower = view_of((enum view)kind, file, 9);
			upper = i_stream_create_noop(lower);
			assert_int_equal(i_stream_read(upper), 9);
			i_stream_skip(upper, 4);
			test_write_file(path, "new stuff", 9);
			i_stream_sync(which == 0         ? upper :
					      which == 1 ? lower :
							   file);
			assert_int_equal(
				i_stream_read_more(upper, &data, &size), 1);
			assert_int_equal(size, 5);
			assert_memory_equal(data, "stuff", 5);
			i_stream_destroy(&upper);
			i_stream_destroy(&lower);
			i_stream_destroy(&file);
		}
	}
}

/* Whoever reads the parent meanwhile, a line is one of the bytes at the view's offset. */
static void test_lines_by_turns(void **state ATTR_UNUSED)
{
	struct istream *parent, *s;
	unsigned int kind;

	for (kind = NOOP; kind < VIEWS; kind++) {
		parent = test_trickle_create("ab\ncd\nef\ngh\n", 12, 6, false);
		s = view_of((enum view)kind, parent, 12);
		assert_string_equal(i_stream_read_next_line(s), "ab");
		i_stream_seek(parent, 9);
		assert_string_equal(i_stream_read_next_line(parent), "gh");
		/* what it showed is not there any more */
		assert_null(i_stream_next_line(s));
		assert_string_equal(i_stream_read_next_line(s), "cd");
		i_stream_destroy(&s);
		i_stream_destroy(&parent);
	}
}

struct last_look {
	struct istream *input;
	size_t size;
	int fd;
	ssize_t ret;
};

static void look_at_input(struct last_look *look)
{
	(void)i_stream_get_data(look->input, &look->size);
	look->fd = i_stream_get_fd(look->input);
	i_stream_set_max_buffer_size(look->input, 10);
	look->ret = i_stream_read(look->input);
}

/* What was buffered is memory of others when the callback is called. */
static void
test_destroy_callback_finds_an_empty_stream(void **state ATTR_UNUSED)
{
	struct last_look look = { .size = 99 };
	struct istream *data = i_stream_create_from_data("one\ntwo", 7);

	look.input = i_stream_create_crlf(data);
	assert_int_equal(i_stream_read(look.input) > 0, true);
	i_stream_add_destroy_callback(look.input, look_at_input, &look);
	i_stream_unref(&(struct istream *){ look.input });
	assert_int_equal(look.size, 0);
	assert_int_equal(look.fd, -1);
	assert_int_equal(look.ret, -1);
	i_stream_destroy(&data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts_by_turns),
		cmocka_unit_test(test_their_descriptor),
		cmocka_unit_test(test_size_of_a_decoder_below),
		cmocka_unit_test(test_size_of_what_is_cut),
		cmocka_unit_test(test_seeking_back_over_a_pipe),
		cmocka_unit_test(test_parent_that_has_failed),
		cmocka_unit_test(test_parent_of_a_filter_that_has_failed),
		cmocka_unit_test(test_parts_of_what_cannot_go_back),
		cmocka_unit_test(test_moved_in_the_middle),
		cmocka_unit_test(test_skip_past_a_limit),
		cmocka_unit_test(test_view_of_a_pipe_goes),
		cmocka_unit_test(test_sync),
		cmocka_unit_test(test_stat_fails),
		cmocka_unit_test(test_stat_of_a_part_fails),
		cmocka_unit_test(test_size_of_a_pipe),
		cmocka_unit_test(test_sync_of_what_is_shown),
		cmocka_unit_test(test_lines_by_turns),
		cmocka_unit_test(test_destroy_callback_finds_an_empty_stream),
	};

	return cmocka_run_group_tests_name("istream-views", tests, NULL, NULL);
}
