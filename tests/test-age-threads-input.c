/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* age files that several threads read: bytes, errors and words are those of a single thread,
   whole, damaged, cut or in any order. */

#include "config.h"
#include "test-stream-common.h"

#include "age-crew.h"
#include "age-keys.h"
#include "transform-age.h"

#include <errno.h>
#include <stdlib.h>

#define CHUNK AGE_CHUNK_SIZE
#define SEALED AGE_SEALED_CHUNK_SIZE
/* One recipient's header with the nonce. */
#define HEADER ((size_t)184)
/* More chunks than are done without threads and than a crew of two holds. */
#define MANY (AGE_CREW_AFTER + 25)

static buffer_t *age_encrypt(unsigned int threads, const unsigned char *data,
			     size_t size)
{
	return test_encode(transform_create_age_threads_encoder(
				   test_keys.recipients, threads),
			   data, size);
}

static struct transform *decoder(unsigned int threads)
{
	return transform_create_age_threads_decoder(test_keys.identities,
						    threads);
}

/* The same bytes, errno and words as with one thread, in every way of reading. */
static void decode_as_alone(const void *file, size_t size,
			    const unsigned char *data, size_t wanted, int error)
{
	static const size_t steps[] = { 65536, 1000, 300000 };
	buffer_t *out = buffer_create_dynamic(default_pool, 1024);
	char text[sizeof(test_stream_error)];
	unsigned int i;
	int ret;

	assert_int_equal(test_decode(decoder(1), file, size, out), error);
	assert_int_equal(out->used, wanted);
	/* with the place, however far ahead of it was read */
	memcpy(text, test_stream_error, sizeof(text));
	for (i = 0; i < 2 * N_ELEMENTS(steps); i++) {
		ret = i < N_ELEMENTS(steps) ?
			test_decode_step(decoder(2), file, size, steps[i],
					 i == 1, 0, out) :
			test_decode_push(decoder(2), file, size,
					 steps[i - N_ELEMENTS(steps)], out);
		if (ret != error || out->used != wanted)
			fail_msg("way %u: errno %d, not %d; %zu bytes, not "
				 "%zu: %s",
				 i, ret, error, out->used, wanted,
				 test_stream_error);
		if (i < N_ELEMENTS(steps))
			assert_string_equal(test_stream_error, text);
		assert_memory_equal(out->data, data, wanted);
	}
	buffer_free(&out);
}

static void test_what_is_read_is_the_same(void **state ATTR_UNUSED)
{
	static const size_t sizes[] = { 0,
					1,
					CHUNK,
					AGE_CREW_AFTER * CHUNK,
					(AGE_CREW_AFTER + 1) * CHUNK - 1,
					(AGE_CREW_AFTER + 1) * CHUNK + 1,
					MANY * CHUNK - 1,
					MANY * CHUNK,
					MANY * CHUNK + 1 };
	unsigned char *data = test_data(TEST_DATA_RANDOM, MANY * CHUNK + 1);
	buffer_t *file;
	size_t i;

	for (i = 0; i < N_ELEMENTS(sizes); i++) {
		file = age_encrypt(2, data, sizes[i]);
		decode_as_alone(file->data, file->used, data, sizes[i], 0);
		buffer_free(&file);
	}
	free(data);
}

/* Back from it, with what the crew had read ahead: as if it were read anew. */
static void test_seeking_back_from_a_damaged_chunk(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, MANY * CHUNK), *byte;
	buffer_t *file = age_encrypt(1, data, MANY * CHUNK);
	buffer_t *out = buffer_create_dynamic(default_pool, 1024);
	struct istream *source =
		i_stream_create_from_data(file->data, file->used);
	struct istream *input = i_stream_create_transform(source, decoder(2));

	byte = (unsigned char *)file->data + HEADER + (MANY - 9) * SEALED;
	*byte ^= 4;
	assert_int_equal(test_read_all(input, out), EINVAL);
	assert_int_equal(out->used, (MANY - 9) * CHUNK);
	*byte ^= 4;
	input->stream_errno = 0;
	i_stream_seek(input, 5);
	buffer_set_used_size(out, 0);
	assert_int_equal(test_read_all(input, out), 0);
	assert_int_equal(out->used, MANY * CHUNK - 5);
	assert_memory_equal(out->data, data + 5, out->used);
	i_stream_destroy(&input);
	i_stream_destroy(&source);
	buffer_free(&out);
	buffer_free(&file);
	free(data);
}

/* Wherever in what the crew has at once: all before it comes, and nothing else. */
static void test_a_damaged_chunk(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, MANY * CHUNK), *byte;
	buffer_t *file = age_encrypt(1, data, MANY * CHUNK);
	size_t chunk;

	for (chunk = AGE_CREW_AFTER - 1; chunk < MANY; chunk++) {
		byte = (unsigned char *)file->data + HEADER + chunk * SEALED +
			chunk * 1000;
		*byte ^= 4;
		decode_as_alone(file->data, file->used, data, chunk * CHUNK,
				EINVAL);
		*byte ^= 4;
	}
	buffer_free(&file);
	free(data);
}

static void test_chunks_in_another_order(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, MANY * CHUNK);
	buffer_t *file = age_encrypt(1, data, MANY * CHUNK);
	unsigned char *first = (unsigned char *)file->data + HEADER +
		(AGE_CREW_AFTER + 2) * SEALED;
	unsigned char *saved = malloc(SEALED);

	assert_non_null(saved);
	memcpy(saved, first, SEALED);
	memmove(first, first + SEALED, SEALED);
	memcpy(first + SEALED, saved, SEALED);
	decode_as_alone(file->data, file->used, data,
			(AGE_CREW_AFTER + 2) * CHUNK, EINVAL);
	free(saved);
	buffer_free(&file);
	free(data);
}

static void test_cut_at_every_slot(void **state ATTR_UNUSED)
{
	static const size_t behind[] = { 0, 1, 15, 16, 17, SEALED - 1 };
	unsigned char *data = test_data(TEST_DATA_RANDOM, MANY * CHUNK + 9);
	buffer_t *file = age_encrypt(1, data, MANY * CHUNK + 9);
	size_t chunk, i;

	/* each slot of the ring, but not with all that may be behind */
	for (chunk = AGE_CREW_AFTER; chunk <= MANY; chunk++) {
		for (i = chunk % 2; i < N_ELEMENTS(behind);
		     i += chunk < MANY ? 2 : 1) {
			if (chunk == MANY && behind[i] > 17)
				continue;
			decode_as_alone(file->data,
					HEADER + chunk * SEALED + behind[i],
					data, chunk * CHUNK,
					behind[i] == 16 ? EINVAL : EPIPE);
		}
	}
	buffer_free(&file);
	free(data);
}

/* The last chunk is full, and bytes follow: as many as a crew reads ahead, or one. */
static void test_data_behind_a_full_last_chunk(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, MANY * CHUNK);
	buffer_t *file = age_encrypt(2, data, (MANY - 5) * CHUNK);
	size_t used = file->used;
	unsigned char *more = malloc(5 * SEALED);

	assert_non_null(more);
	memcpy(more, (unsigned char *)file->data + HEADER, 5 * SEALED);
	buffer_append_c(file, 'x');
	decode_as_alone(file->data, file->used, data, (MANY - 5) * CHUNK,
			EINVAL);
	buffer_set_used_size(file, used);
	buffer_append(file, more, 5 * SEALED);
	free(more);
	decode_as_alone(file->data, file->used, data, (MANY - 5) * CHUNK,
			EINVAL);
	assert_non_null(strstr(test_stream_error, "data after the end"));
	buffer_free(&file);
	free(data);
}

static void test_random_access(void **state ATTR_UNUSED)
{
	const size_t size = 2 * MANY * CHUNK + 100;
	unsigned char *data = test_data(TEST_DATA_RANDOM, size);
	buffer_t *file = age_encrypt(2, data, size);
	struct istream *source =
		i_stream_create_from_data(file->data, file->used);
	struct istream *input = i_stream_create_transform(source, decoder(2));
	const unsigned char *got;
	uint32_t seed = 4711;
	uoff_t offset, total;
	size_t have, left;
	int i;

	for (i = 0; i < 60; i++) {
		offset = test_random(&seed) % size;
		i_stream_seek(input, offset);
		/* some long enough for a crew, some not */
		left = test_random(&seed) % (MANY * CHUNK);
		while (left > 0 &&
		       i_stream_read_more(input, &got, &have) == 1) {
			assert_true(have <= size - offset);
			assert_memory_equal(got, data + offset, have);
			have = I_MIN(have, left);
			offset += have;
			left -= have;
			i_stream_skip(input, have);
		}
		assert_true(left == 0 || offset == size);
		assert_int_equal(input->stream_errno, 0);
		if (i % 8 == 0) {
			assert_int_equal(i_stream_get_size(input, true, &total),
					 1);
			assert_int_equal(total, size);
		}
	}
	i_stream_destroy(&input);
	i_stream_destroy(&source);
	buffer_free(&file);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_read_is_the_same),
		cmocka_unit_test(test_a_damaged_chunk),
		cmocka_unit_test(test_seeking_back_from_a_damaged_chunk),
		cmocka_unit_test(test_chunks_in_another_order),
		cmocka_unit_test(test_cut_at_every_slot),
		cmocka_unit_test(test_data_behind_a_full_last_chunk),
		cmocka_unit_test(test_random_access),
	};

	return cmocka_run_group_tests_name("age-threads-input", tests,
					   test_fixed_keys_setup,
					   test_keys_teardown);
}
