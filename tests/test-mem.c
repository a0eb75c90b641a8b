/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "mem.h"
#include "test-common.h"

#include <errno.h>
#include <stdlib.h>

static void test_mem_new_is_zeroed(void **state ATTR_UNUSED)
{
	static const unsigned char zeros[I_SMALL_OBJECT_MAX];
	unsigned char *ptr;

	/* dirty what the heap may hand out next */
	ptr = try_malloc(I_SMALL_OBJECT_MAX);
	assert_non_null(ptr);
	memset(ptr, 0xff, I_SMALL_OBJECT_MAX);
	i_free(ptr);

	ptr = i_new(unsigned char, I_SMALL_OBJECT_MAX);
	assert_memory_equal(ptr, zeros, sizeof(zeros));
	i_free_and_null(ptr);
	assert_null(ptr);
	i_free(ptr);
}

static void test_mem_calloc_is_for_small_objects(void **state ATTR_UNUSED)
{
	void *ptr = i_calloc(0, 8);

	assert_non_null(ptr);
	i_free(ptr);
	EXPECT_PANIC("assertion failed",
		     ptr = i_calloc(I_SMALL_OBJECT_MAX + 1, 1));
	EXPECT_PANIC("assertion failed", ptr = i_calloc(2, I_SMALL_OBJECT_MAX));
	/* the product would wrap around to 16 */
	EXPECT_PANIC("assertion failed", ptr = i_calloc(SIZE_MAX / 16 + 2, 16));
	EXPECT_PANIC("assertion failed", ptr = i_calloc(1, 0));
}

static void test_mem_strings(void **state ATTR_UNUSED)
{
	char *str;

	assert_null(i_strdup(NULL));
	str = i_strdup("");
	assert_string_equal(str, "");
	i_free(str);
	str = i_strdup("abc");
	assert_string_equal(str, "abc");
	i_free(str);
	str = i_strndup("abcdef", 3);
	assert_string_equal(str, "abc");
	i_free(str);
	str = i_strndup("ab", 3);
	assert_string_equal(str, "ab");
	i_free(str);
	str = i_strdup_printf("%s-%d", "x", 7);
	assert_string_equal(str, "x-7");
	i_free(str);
	str = i_strdup_printf("%02000d", 0);
	assert_int_equal(strlen(str), 2000);
	i_free(str);
}

/* What cannot be had is NULL and ENOMEM, never a panic and never less. */
static void test_mem_try_reports(void **state ATTR_UNUSED)
{
	/* volatile: the compiler knows that this much cannot be had */
	volatile size_t too_much = SIZE_MAX / 2 + 1;
	char *ptr, *ptr2;

	errno = 0;
	assert_null(try_malloc(too_much));
	errno = 0;
	assert_null(
		try_malloc_block(SIZE_MAX)); /* a line more would be small */
	assert_int_equal(errno, ENOMEM);
	errno = 0;
	assert_null(try_malloc_block(too_much));
	assert_int_equal(errno, ENOMEM);
	errno = 0;
	assert_null(try_calloc(too_much, 4));
	assert_int_equal(errno, ENOMEM);

	ptr = try_malloc(4);
	assert_non_null(ptr);
	memcpy(ptr, "abc", 4);
	errno = 0;
	assert_null(try_realloc(ptr, too_much));
	assert_int_equal(errno, ENOMEM);
	assert_string_equal(ptr, "abc");
	ptr2 = try_realloc(ptr, 4096);
	assert_non_null(ptr2);
	assert_string_equal(ptr2, "abc");
	i_free(ptr2);
}

/* NULL always means "no memory". */
static void test_mem_try_zero_size(void **state ATTR_UNUSED)
{
	void *ptr = try_malloc_block(0);

	assert_non_null(ptr);
	i_free(ptr);
	ptr = try_malloc(0);
	assert_non_null(ptr);
	ptr = try_realloc(ptr, 0);
	assert_non_null(ptr);
	i_free(ptr);
	ptr = try_calloc(0, 0);
	assert_non_null(ptr);
	i_free(ptr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mem_new_is_zeroed),
		cmocka_unit_test(test_mem_calloc_is_for_small_objects),
		cmocka_unit_test(test_mem_strings),
		cmocka_unit_test(test_mem_try_reports),
		cmocka_unit_test(test_mem_try_zero_size),
	};

	return cmocka_run_group_tests_name("mem", tests, NULL, NULL);
}
