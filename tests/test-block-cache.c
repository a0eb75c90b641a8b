/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Blocks are where copies are fast, and are kept by the thread that gave them back. */

#include "config.h"
#include "block-cache.h"
#include "mem.h"
#include "test-common.h"

#include <errno.h>

/* A small piece between two blocks, without which they might be a line apart by chance. */
#define BETWEEN 16

static void test_at_the_start_of_a_line(void **state ATTR_UNUSED)
{
	static const size_t sizes[] = {
		IO_BLOCK_SIZE,      IO_BLOCK_SIZE + 16, BLOCK_SIZE_MAX,
		BLOCK_SIZE_MAX + 1, 256 * 1024,         4 * 1024 * 1024,
	};
	unsigned char *blocks[N_ELEMENTS(sizes)][2];
	void *between[N_ELEMENTS(sizes)];
	size_t i, j;

	for (i = 0; i < N_ELEMENTS(sizes); i++) {
		between[i] = try_malloc(BETWEEN);
		assert_non_null(between[i]);
		for (j = 0; j < 2; j++) {
			blocks[i][j] = block_get(sizes[i]);
			assert_non_null(blocks[i][j]);
			assert_int_equal(
				(uintptr_t)blocks[i][j] % I_ALIGN_BLOCK, 0);
			memset(blocks[i][j], 0xaa, sizes[i]);
		}
	}
	for (i = 0; i < N_ELEMENTS(sizes); i++) {
		for (j = 0; j < 2; j++)
			block_put(&blocks[i][j], sizes[i], 0);
		i_free(between[i]);
	}
	block_cache_trim();
}

static void test_kept_for_the_next(void **state ATTR_UNUSED)
{
	static const size_t sizes[] = { IO_BLOCK_SIZE, BLOCK_SIZE_MAX };
	unsigned char *block = block_get(IO_BLOCK_SIZE), *first = block;
	size_t i;

	assert_non_null(block);
	for (i = 0; i < N_ELEMENTS(sizes); i++) {
		block_put(&block, IO_BLOCK_SIZE, 0);
		assert_null(block);
		block = block_get(sizes[i]);
		assert_ptr_equal(block, first);
	}
	block_put(&block, BLOCK_SIZE_MAX, 0);
	block_cache_trim();
}

static void test_wiped(void **state ATTR_UNUSED)
{
	static const unsigned char zeros[1000];
	unsigned char *block = block_get(IO_BLOCK_SIZE);

	assert_non_null(block);
	memset(block, 0xaa, IO_BLOCK_SIZE);
	block_put(&block, IO_BLOCK_SIZE, sizeof(zeros));
	block = block_get(IO_BLOCK_SIZE);
	assert_memory_equal(block, zeros, sizeof(zeros));
	assert_int_equal(block[sizeof(zeros)], 0xaa);
	block_put(&block, IO_BLOCK_SIZE, 0);
	block_cache_trim();
}

static void test_no_more_than_there_are(void **state ATTR_UNUSED)
{
	unsigned char *block = block_get(SIZE_MAX);

	assert_null(block);
	assert_int_equal(errno, ENOMEM);
	block_put(&block, SIZE_MAX, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_at_the_start_of_a_line),
		cmocka_unit_test(test_kept_for_the_next),
		cmocka_unit_test(test_wiped),
		cmocka_unit_test(test_no_more_than_there_are),
	};

	return cmocka_run_group_tests_name("block-cache", tests, NULL, NULL);
}
