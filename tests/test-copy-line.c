/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* A line is copied up to its LF, and nothing behind the size is touched. */

#include "config.h"
#include "copy-line.h"
#include "test-common.h"

#include <stdlib.h>

typedef size_t copy_t(unsigned char *out, const unsigned char *in, size_t size);

/* A LF at each of these places, or behind the size; `near`: one so near to the end
   may be missed. */
static void must_copy(copy_t *copy, size_t first, size_t second, size_t size,
		      size_t near)
{
	unsigned char *in = malloc(size + 1), *out = malloc(size + 1);
	size_t got;

	assert_non_null(in);
	assert_non_null(out);
	memset(in, 'a', size + 1);
	out[size] = 0xa5;
	if (first <= size)
		in[first] = '\n';
	if (second <= size)
		in[second] = '\n';
	got = copy(out, in, size);
	assert_int_equal(out[size], 0xa5);
	if (got == COPY_LINE_NONE) {
		if (first < size && size - first > near)
			fail_msg("LF at %zu of %zu is missed", first, size);
	} else {
		assert_int_equal(got, first);
		assert_true(first < size);
		if (got > 0)
			assert_memory_equal(out, in, got);
	}
	free(in);
	free(out);
}

static void test_every_place(void **state ATTR_UNUSED)
{
	static const size_t sizes[] = { 0,   1,   63,  64,  127, 128,
					129, 255, 256, 300, 513 };
	size_t i, first;

	for (i = 0; i < N_ELEMENTS(sizes); i++) {
		for (first = 0; first <= sizes[i]; first++) {
			must_copy(copy_line, first, first + 1, sizes[i], 128);
			must_copy(copy_line, first, first + 70, sizes[i], 128);
			must_copy(copy_line_portable, first, first + 1,
				  sizes[i], 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_place),
	};

	return cmocka_run_group_tests_name("copy-line", tests, NULL, NULL);
}
