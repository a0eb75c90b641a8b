/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "buffer.h"
#include "test-common.h"

#include <stdlib.h>

static void assert_holds(const buffer_t *buf, const char *text)
{
	assert_int_equal(buf->used, strlen(text));
	if (buf->used > 0)
		assert_memory_equal(buf->data, text, buf->used);
}

/* One change of a buffer that holds "abcdef". */
struct edit {
	const char *name;
	enum {
		WRITE,
		INSERT,
		DELETE,
		APPEND
	} op;
	size_t pos;
	const char *data;
	size_t size;
	const char *out;
	size_t out_size;
};

static const struct edit edits[] = {
	{ "write at the beginning", WRITE, 0, "XY", 2, "XYcdef", 6 },
	{ "write over the end", WRITE, 5, "XY", 2, "abcdeXY", 7 },
	{ "write at the end", WRITE, 6, "XY", 2, "abcdefXY", 8 },
	{ "write behind a gap", WRITE, 8, "XY", 2, "abcdef\0\0XY", 10 },
	{ "write nothing", WRITE, 3, NULL, 0, "abcdef", 6 },
	{ "write nothing behind a gap", WRITE, 8, NULL, 0, "abcdef\0\0", 8 },
	{ "insert at the beginning", INSERT, 0, "XY", 2, "XYabcdef", 8 },
	{ "insert in the middle", INSERT, 3, "XY", 2, "abcXYdef", 8 },
	{ "insert at the end", INSERT, 6, "XY", 2, "abcdefXY", 8 },
	{ "insert behind a gap", INSERT, 7, "XY", 2, "abcdef\0XY", 9 },
	{ "insert nothing", INSERT, 3, NULL, 0, "abcdef", 6 },
	{ "delete at the beginning", DELETE, 0, NULL, 2, "cdef", 4 },
	{ "delete in the middle", DELETE, 2, NULL, 2, "abef", 4 },
	{ "delete the end", DELETE, 4, NULL, 2, "abcd", 4 },
	{ "delete more than there is", DELETE, 4, NULL, SIZE_MAX, "abcd", 4 },
	{ "delete behind the end", DELETE, 6, NULL, 1, "abcdef", 6 },
	{ "delete far behind the end", DELETE, 99, NULL, 1, "abcdef", 6 },
	{ "delete nothing", DELETE, 3, NULL, 0, "abcdef", 6 },
	{ "delete all", DELETE, 0, NULL, 6, "", 0 },
	{ "append", APPEND, 0, "XY", 2, "abcdefXY", 8 },
	{ "append nothing", APPEND, 0, NULL, 0, "abcdef", 6 },
};

static void make_edit(buffer_t *buf, const struct edit *edit)
{
	switch (edit->op) {
	case WRITE:
		buffer_write(buf, edit->pos, edit->data, edit->size);
		break;
	case INSERT:
		buffer_insert(buf, edit->pos, edit->data, edit->size);
		break;
	case DELETE:
		buffer_delete(buf, edit->pos, edit->size);
		break;
	case APPEND:
		buffer_append(buf, edit->data, edit->size);
		break;
	}
	if (buf->used != edit->out_size ||
	    memcmp(buf->data, edit->out, edit->out_size) != 0)
		fail_msg("%s", edit->name);
}

static void test_buffer_edits(void **state ATTR_UNUSED)
{
	unsigned char memory[10];
	buffer_t *buf, fixed;
	size_t i, init_size;

	for (i = 0; i < N_ELEMENTS(edits); i++) {
		/* with and without room that is there already */
		for (init_size = 0; init_size <= 256; init_size += 256) {
			buf = buffer_create_dynamic(default_pool, init_size);
			buffer_append(buf, "abcdef", 6);
			make_edit(buf, &edits[i]);
			buffer_free(&buf);
		}
		/* bytes behind the used ones are not taken for zeros */
		memset(memory, 'z', sizeof(memory));
		buffer_create_from_data(&fixed, memory, sizeof(memory));
		buffer_append(&fixed, "abcdef", 6);
		make_edit(&fixed, &edits[i]);
	}
}

static void test_buffer_grows_by_doubling(void **state ATTR_UNUSED)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 0);
	unsigned int i, moves = 0;
	size_t size = 0;

	assert_int_equal(buf->used, 0);
	for (i = 0; i < 1000000; i++) {
		buffer_append_c(buf, (unsigned char)i);
		if (buffer_get_size(buf) != size) {
			size = buffer_get_size(buf);
			moves++;
		}
	}
	assert_int_equal(buf->used, 1000000);
	for (i = 0; i < 1000000; i++) {
		if (buf->data[i] != (unsigned char)i)
			fail_msg("byte %u", i);
	}
	assert_true(moves <= 20);
	assert_true(size < 2 * 1000000 + 64);
	buffer_free(&buf);
	assert_null(buf);
	buffer_free(&buf);
}

static void test_buffer_maximum(void **state ATTR_UNUSED)
{
	buffer_t *buf = buffer_create_dynamic_max(default_pool, 99, 10);
	size_t i;

	assert_true(buffer_get_size(buf) <= 10);
	for (i = 0; i < 10; i++) {
		assert_int_equal(buffer_get_avail_size(buf), 10 - i);
		assert_true(buffer_try_append(buf, "x", 1));
	}
	assert_false(buffer_try_append(buf, "y", 1));
	assert_false(buffer_try_write(buf, 9, "yy", 2));
	assert_false(buffer_try_write(buf, 11, NULL, 0));
	assert_null(buffer_try_reserve(buf, 1));
	assert_holds(buf, "xxxxxxxxxx");
	assert_true(buffer_try_append(buf, NULL, 0));
	assert_string_equal(buffer_c_str(buf), "xxxxxxxxxx");
	EXPECT_PANIC("maximum 10 bytes", buffer_append_c(buf, 'y'));
	EXPECT_PANIC("maximum 10 bytes", buffer_insert(buf, 0, "y", 1));
	EXPECT_PANIC("maximum 10 bytes", buffer_append_zero(buf, 1));
	EXPECT_PANIC("assertion failed", buffer_set_used_size(buf, 11));
	assert_holds(buf, "xxxxxxxxxx");
	assert_int_equal(buffer_get_avail_size(buf), 0);
	buffer_free(&buf);
}

/* Sizes whose sum wraps around, or that no machine has. */
static void test_buffer_absurd_sizes(void **state ATTR_UNUSED)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 0);
	/* no compiler is to know it, who would warn */
	volatile size_t absurd = SIZE_MAX - 3;

	buffer_append(buf, "abc", 3);
	assert_false(buffer_try_append(buf, "x", SIZE_MAX));
	assert_false(buffer_try_append(buf, "x", SIZE_MAX - 3));
	assert_false(buffer_try_append(buf, "x", SIZE_MAX - 4));
	assert_false(buffer_try_append(buf, "x", SIZE_MAX / 2 + 1));
	assert_false(buffer_try_write(buf, SIZE_MAX, "x", 1));
	assert_false(buffer_try_write(buf, SIZE_MAX - 1, "x", 1));
	assert_null(buffer_try_reserve(buf, SIZE_MAX));
	assert_null(buffer_try_reserve(buf, SIZE_MAX - 4));
	EXPECT_PANIC("cannot grow", buffer_append_zero(buf, absurd));
	assert_holds(buf, "abc");
	buffer_free(&buf);
}

static void test_buffer_fixed(void **state ATTR_UNUSED)
{
	char memory[4] = "zzz";
	buffer_t buf;

	buffer_create_from_data(&buf, memory, sizeof(memory));
	assert_int_equal(buf.used, 0);
	assert_int_equal(buffer_get_size(&buf), 4);
	assert_int_equal(buffer_get_avail_size(&buf), 4);
	buffer_append_str(&buf, "abc");
	assert_string_equal(buffer_c_str(&buf), "abc");
	buffer_append_c(&buf, 'd');
	assert_memory_equal(memory, "abcd", 4);
	assert_false(buffer_try_append(&buf, "e", 1));
	EXPECT_PANIC("maximum 4 bytes", buffer_append_c(&buf, 'e'));
	/* there is no byte left for the NUL */
	EXPECT_PANIC("maximum 4 bytes", (void)buffer_c_str(&buf));
	assert_holds(&buf, "abcd");
	buffer_set_used_size(&buf, 0);
	assert_int_equal(buffer_get_avail_size(&buf), 4);
	EXPECT_PANIC("assertion failed", buffer_set_used_size(&buf, 5));
}

static void test_buffer_fixed_of_nothing(void **state ATTR_UNUSED)
{
	buffer_t buf;

	buffer_create_from_data(&buf, NULL, 0);
	buffer_append(&buf, NULL, 0);
	buffer_append_zero(&buf, 0);
	buffer_delete(&buf, 0, 1);
	assert_int_equal(buf.used, 0);
	assert_false(buffer_try_append(&buf, "x", 1));
	assert_null(buffer_try_reserve(&buf, 1));
}

static void test_buffer_const(void **state ATTR_UNUSED)
{
	buffer_t buf, other, *volatile not_ours = &other;
	size_t size = 0;

	buffer_create_from_const_data(&buf, "abcdef", 6);
	assert_holds(&buf, "abcdef");
	assert_int_equal(buffer_get_avail_size(&buf), 0);
	assert_null(buffer_get_modifiable_data(&buf, &size));
	assert_int_equal(size, 6);
	assert_false(buffer_try_write(&buf, 0, "x", 1));
	assert_null(buffer_try_reserve(&buf, 0));
	EXPECT_PANIC("cannot grow", buffer_write(&buf, 0, "x", 1));
	EXPECT_PANIC("cannot grow", buffer_insert(&buf, 0, "x", 1));
	EXPECT_PANIC("cannot grow", (void)buffer_c_str(&buf));
	EXPECT_PANIC("assertion failed", buffer_delete(&buf, 0, 1));
	/* what is at the end may be given up */
	buffer_set_used_size(&buf, 3);
	buffer_create_from_const_data(&other, "abc", 3);
	assert_true(buffer_cmp(&buf, &other));
	EXPECT_PANIC("assertion failed", {
		buffer_t *ptr = not_ours;
		buffer_free(&ptr);
	});
}

static void test_buffer_reserve_and_use(void **state ATTR_UNUSED)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 0);
	unsigned char *space;

	buffer_append_str(buf, "abc");
	space = buffer_try_reserve(buf, 5000);
	assert_non_null(space);
	assert_ptr_equal(space, buf->data + 3);
	assert_holds(buf, "abc");
	memset(space, 'd', 5000);
	buffer_set_used_size(buf, 5);
	assert_holds(buf, "abcdd");
	space = buffer_append_space_unsafe(buf, 2);
	memcpy(space, "ef", 2);
	assert_holds(buf, "abcddef");
	buffer_append_zero(buf, 2);
	assert_int_equal(buf->used, 9);
	assert_memory_equal(buf->data, "abcddef\0", 9);
	/* a buffer that is filled to the last byte still has a string */
	buffer_set_used_size(buf, buffer_get_size(buf));
	assert_int_equal(buffer_c_str(buf)[buf->used], '\0');
	buffer_free(&buf);
}

static void test_buffer_append_buf(void **state ATTR_UNUSED)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 0);
	buffer_t src;
	unsigned int i;

	buffer_create_from_const_data(&src, "abcdef", 6);
	buffer_append_buf(buf, &src, 2, 3);
	assert_holds(buf, "cde");
	buffer_append_buf(buf, &src, 4, SIZE_MAX);
	assert_holds(buf, "cdeef");
	buffer_append_buf(buf, &src, 6, 1);
	buffer_append_buf(buf, &src, SIZE_MAX, SIZE_MAX);
	buffer_append_buf(buf, &src, 0, 0);
	assert_holds(buf, "cdeef");
	/* of itself, also when it moves while it grows */
	for (i = 0; i < 12; i++)
		buffer_append_buf(buf, buf, 0, SIZE_MAX);
	assert_int_equal(buf->used, 5 << 12);
	for (i = 0; i < buf->used; i += 5)
		assert_memory_equal(buf->data + i, "cdeef", 5);
	buffer_free(&buf);
}

static void test_buffer_text(void **state ATTR_UNUSED)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 0);
	char *data;

	assert_string_equal(buffer_c_str(buf), "");
	buffer_append_str(buf, "");
	buffer_append_str(buf, "n = ");
	buffer_append_printf(buf, "%d%s", 42, "");
	assert_string_equal(buffer_c_str(buf), "n = 42");
	assert_int_equal(buf->used, 6);
	buffer_append_printf(buf, "%01000d", 0);
	assert_int_equal(strlen(buffer_c_str(buf)), 1006);

	data = buffer_free_without_data(&buf);
	assert_null(buf);
	assert_memory_equal(data, "n = 420", 7);
	free(data);
	assert_null(buffer_free_without_data(&buf));
}

static void test_buffer_cmp(void **state ATTR_UNUSED)
{
	buffer_t a, b;

	buffer_create_from_const_data(&a, "abc", 3);
	buffer_create_from_const_data(&b, "abd", 3);
	assert_false(buffer_cmp(&a, &b));
	buffer_create_from_const_data(&b, "abc", 2);
	assert_false(buffer_cmp(&a, &b));
	buffer_create_from_const_data(&b, "abcd", 3);
	assert_true(buffer_cmp(&a, &b));
	buffer_create_from_const_data(&a, NULL, 0);
	buffer_create_from_const_data(&b, "", 0);
	assert_true(buffer_cmp(&a, &b));
}

/* Random edits against a plain array. */
static void test_buffer_model(void **state ATTR_UNUSED)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 0);
	static unsigned char model[8192], data[64];
	size_t used = 0, pos, size;
	uint32_t seed = 1;
	unsigned int i;

	for (i = 0; i < 20000; i++) {
		pos = test_random(&seed) % (used + 1);
		size = test_random(&seed) % sizeof(data);
		memset(data, (int)(test_random(&seed) & 0xff), sizeof(data));
		if (used > 4000 || test_random(&seed) % 3 == 0) {
			size = I_MIN(size, used - pos);
			memmove(model + pos, model + pos + size,
				used - pos - size);
			used -= size;
			buffer_delete(buf, pos, size);
		} else if (test_random(&seed) % 2 == 0) {
			memmove(model + pos + size, model + pos, used - pos);
			memcpy(model + pos, data, size);
			used += size;
			buffer_insert(buf, pos, data, size);
		} else {
			memcpy(model + pos, data, size);
			used = I_MAX(used, pos + size);
			buffer_write(buf, pos, data, size);
		}
		assert_int_equal(buf->used, used);
	}
	assert_true(used > 0);
	assert_memory_equal(buf->data, model, used);
	buffer_free(&buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buffer_edits),
		cmocka_unit_test(test_buffer_grows_by_doubling),
		cmocka_unit_test(test_buffer_maximum),
		cmocka_unit_test(test_buffer_absurd_sizes),
		cmocka_unit_test(test_buffer_fixed),
		cmocka_unit_test(test_buffer_fixed_of_nothing),
		cmocka_unit_test(test_buffer_const),
		cmocka_unit_test(test_buffer_reserve_and_use),
		cmocka_unit_test(test_buffer_append_buf),
		cmocka_unit_test(test_buffer_text),
		cmocka_unit_test(test_buffer_cmp),
		cmocka_unit_test(test_buffer_model),
	};

	return cmocka_run_group_tests_name("buffer", tests, NULL, NULL);
}
