/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The age format where memory ends, at each place where that is no panic: it is ENOMEM,
   both ways, and not an input or a key that is wrong. */

#include "config.h"
#include "age-keys.h"
#include "block-cache.h"
#include "test-mem-faults.h"
#include "test-stream-common.h"
#include "transform-age.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* Two chunks. */
#define SIZE ((size_t)100000)
/* So many that their header has no room where an encoder begins it. */
#define RECIPIENTS 6

static struct age_recipients *recipients;
static struct age_identities *identities;
static unsigned char *plain;

/* One call without memory, or all from that on: the stream's error, 0 for none. What
   was written is in `sealed`. */
static int seal(buffer_t *sealed, unsigned int fail_at, bool for_ever,
		unsigned int *calls_r)
{
	struct ostream *end = o_stream_create_buffer(sealed), *output;
	int error = 0;

	block_cache_trim();
	test_mem_faults_begin(fail_at, for_ever);
	output = o_stream_create_encrypt(end, recipients);
	o_stream_nsend(output, plain, SIZE);
	if (o_stream_finish(output) < 0)
		error = output->stream_errno;
	*calls_r = test_mem_faults_end();
	if (error != 0)
		assert_non_null(strstr(o_stream_get_error(output), "memory"));
	o_stream_abort(output);
	o_stream_destroy(&output);
	o_stream_destroy(&end);
	return error;
}

/* The same for reading, where the bytes before an error are right. */
static int open_sealed(const buffer_t *sealed, unsigned int fail_at,
		       bool for_ever, unsigned int *calls_r)
{
	struct istream *source, *input;
	const unsigned char *data;
	size_t size, pos = 0;
	int error, ret;

	block_cache_trim();
	test_mem_faults_begin(fail_at, for_ever);
	source = i_stream_create_from_data(sealed->data, sealed->used);
	input = i_stream_create_decrypt(source, identities);
	while ((ret = i_stream_read_more(input, &data, &size)) > 0) {
		assert_true(size <= SIZE - pos);
		assert_memory_equal(data, plain + pos, size);
		pos += size;
		i_stream_skip(input, size);
	}
	assert_int_equal(ret, -1);
	*calls_r = test_mem_faults_end();
	error = input->stream_errno;
	if (error == 0)
		assert_true(pos == SIZE);
	else
		assert_non_null(strstr(i_stream_get_error(input), "memory"));
	i_stream_destroy(&input);
	i_stream_destroy(&source);
	return error;
}

static void test_sealing(void **state ATTR_UNUSED)
{
	buffer_t *sealed = buffer_create_dynamic(default_pool, 2 * SIZE);
	unsigned int n, calls, unused, failures = 0;
	int error, for_ever;

	for (for_ever = 0; for_ever < 2; for_ever++) {
		TEST_EACH_CALL(n, calls) {
			buffer_set_used_size(sealed, 0);
			error = seal(sealed, n, for_ever != 0, &calls);
			assert_true(error == 0 || error == ENOMEM);
			failures += error != 0 ? 1 : 0;
			if (error == 0)
				assert_int_equal(open_sealed(sealed, 0, false,
							     &unused),
						 0);
		}
	}
	assert_true(failures > 4);
	buffer_free(&sealed);
}

static void test_opening(void **state ATTR_UNUSED)
{
	buffer_t *sealed = buffer_create_dynamic(default_pool, 2 * SIZE);
	unsigned int n, calls, failures = 0;
	int error, for_ever;

	assert_int_equal(seal(sealed, 0, false, &calls), 0);
	for (for_ever = 0; for_ever < 2; for_ever++) {
		TEST_EACH_CALL(n, calls) {
			error = open_sealed(sealed, n, for_ever != 0, &calls);
			assert_true(error == 0 || error == ENOMEM);
			failures += error != 0 ? 1 : 0;
		}
	}
	assert_true(failures > 4);
	buffer_free(&sealed);
}

static int setup(void **state ATTR_UNUSED)
{
	char text[AGE_RECIPIENT_TEXT_SIZE], *error = NULL;
	unsigned int i;

	plain = test_data(TEST_DATA_RANDOM, SIZE);
	recipients = age_recipients_new();
	identities = age_identities_new();
	for (i = 0; i < RECIPIENTS; i++) {
		(void)unlink(test_path("key"));
		assert_int_equal(age_keygen(test_path("key"), text, &error), 0);
		assert_int_equal(age_recipients_add(recipients, text, &error),
				 0);
	}
	return age_identities_add_file(identities, test_path("key"), NULL,
				       &error);
}

static int teardown(void **state ATTR_UNUSED)
{
	free(plain);
	age_recipients_unref(&recipients);
	age_identities_unref(&identities);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sealing),
		cmocka_unit_test(test_opening),
	};

	return cmocka_run_group_tests_name("age-memory", tests, setup,
					   teardown);
}
