/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The age format: keys, damage, random access, and the age command itself. The public
   vectors are in test-age-vectors. */

#include "config.h"
#include "test-stream-common.h"

#include "age-keys.h"
#include "block-cache.h"
#include "transform-age.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

/* The pair of BIP 173 text and back is tested with age-keygen's own output. */
#define IDENTITY \
	"AGE-SECRET-KEY-1XMWWC06LY3EE5RYTXM9MFLAZ2U56JJJ36S0MYPDRWSVLUL66MV4QX3S7F6"

static buffer_t *age_encrypt(const void *data, size_t size)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 1024);
	struct ostream *sink = o_stream_create_buffer(buf);
	struct ostream *output =
		o_stream_create_encrypt(sink, test_keys.recipients);

	o_stream_nsend(output, data, size);
	assert_int_equal(o_stream_finish(output), 1);
	o_stream_destroy(&output);
	o_stream_destroy(&sink);
	return buf;
}

static void test_key_texts(void **state ATTR_UNUSED)
{
	static const char *const bad_recipients[] = {
		"",
		"age1",
		"age1xmwwc06ly3ee5rytxm9mflaz2u56jjj36s0mypdrwsvlul66mv4q47ryeg",
		"Age1xmwwc06ly3ee5rytxm9mflaz2u56jjj36s0mypdrwsvlul66mv4q47ryef",
		"age1bmwwc06ly3ee5rytxm9mflaz2u56jjj36s0mypdrwsvlul66mv4q47ryef",
		/* right checksums, but bits behind the key: the lowest, the highest */
		"age1xmwwc06ly3ee5rytxm9mflaz2u56jjj36s0mypdrwsvlul66mv4pggh3ym",
		"age1xmwwc06ly3ee5rytxm9mflaz2u56jjj36s0mypdrwsvlul66mv4gt28g85",
		"AGE1XMWWC06LY3EE5RYTXM9MFLAZ2U56JJJ36S0MYPDRWSVLUL66MV4Q47RYEF",
		IDENTITY,
	};
	struct age_recipients *set = age_recipients_new();
	struct age_identities *ids = age_identities_new();
	char *error = NULL;
	size_t i;

	for (i = 0; i < N_ELEMENTS(bad_recipients); i++) {
		assert_int_equal(
			age_recipients_add(set, bad_recipients[i], &error), -1);
		assert_int_equal(errno, EINVAL);
		assert_non_null(strstr(error, "age recipient"));
		free(error);
	}
	assert_int_equal(age_recipients_count(set), 0);
	assert_int_equal(
		age_identities_add(ids, "AGE-SECRET-KEY-1QQQQ", &error), -1);
	assert_null(strstr(error, "QQQQ"));
	free(error);
	assert_int_equal(age_identities_count(ids), 0);
	age_identities_unref(&ids);
	age_recipients_unref(&set);
}

static void test_key_files(void **state ATTR_UNUSED)
{
	static const struct {
		const char *text;
		const char *error; /* NULL: good */
	} files[] = {
		{ "# c\n\n%s\n", NULL },
		{ "%s", NULL },
		{ "%s\r\n", NULL },
		{ "", "there is no recipient in it" },
		{ "# only a comment\n", "there is no recipient in it" },
		{ "%s\nage1typo\n", "line 2: not an age recipient" },
		{ " %s\n", "line 1" },
	};
	char text[AGE_RECIPIENT_TEXT_SIZE], content[256], *error = NULL;
	struct age_recipients *set;
	struct stat st;
	bool exposed;
	size_t i;
	int ret;

	age_identities_get_recipient(test_keys.identities, 0, text);
	for (i = 0; i < N_ELEMENTS(files); i++) {
		const char *percent = strstr(files[i].text, "%s");

		if (percent == NULL)
			(void)snprintf(content, sizeof(content), "%s",
				       files[i].text);
		else
			(void)snprintf(content, sizeof(content), "%.*s%s%s",
				       (int)(percent - files[i].text),
				       files[i].text, text, percent + 2);
		test_write_file(test_path("keys"), content, strlen(content));
		set = age_recipients_new();
		ret = age_recipients_add_file(set, test_path("keys"), &error);
		if (files[i].error == NULL) {
			assert_int_equal(ret, 0);
			assert_int_equal(age_recipients_count(set), 1);
		} else {
			assert_int_equal(ret, -1);
			if (strstr(error, files[i].error) == NULL)
				fail_msg("%s", error);
			free(error);
		}
		age_recipients_unref(&set);
	}
	/* keygen: private, and it does not overwrite */
	assert_int_equal(stat(test_path("key"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(age_keygen(test_path("key"), text, &error), -1);
	assert_int_equal(errno, EEXIST);
	free(error);
	assert_int_equal(chmod(test_path("key"), 0644), 0);
	{
		struct age_identities *ids = age_identities_new();

		assert_int_equal(age_identities_add_file(ids, test_path("key"),
							 &exposed, &error),
				 0);
		assert_true(exposed);
		age_identities_unref(&ids);
	}
	assert_int_equal(chmod(test_path("key"), 0600), 0);
}

static void test_round_trips(void **state ATTR_UNUSED)
{
	static const size_t sizes[] = { 0,      1,      65535,  65536,  65537,
					131071, 131072, 131073, 1048577 };
	static const size_t steps[] = { 1, 1000, 65552, 1 << 20 };
	buffer_t *out = buffer_create_dynamic(default_pool, 1024), *sealed;
	unsigned char *data;
	size_t i, j;

	for (i = 0; i < N_ELEMENTS(sizes); i++) {
		data = test_data(TEST_DATA_RANDOM, sizes[i]);
		sealed = age_encrypt(data, sizes[i]);
		/* one X25519 recipient: 184 bytes, and a tag for each chunk */
		assert_int_equal(
			sealed->used,
			184 + sizes[i] +
				16 *
					(sizes[i] == 0 ?
						 1 :
						 (sizes[i] + 65535) / 65536));
		for (j = sizes[i] > 200000 ? 1 : 0; j < N_ELEMENTS(steps);
		     j++) {
			assert_int_equal(test_decrypt(sealed->data,
						      sealed->used, steps[j],
						      out),
					 0);
			assert_int_equal(out->used, sizes[i]);
			assert_memory_equal(out->data, data, sizes[i]);
		}
		buffer_free(&sealed);
		free(data);
	}
	buffer_free(&out);
}

static void test_every_truncation_and_flip_is_found(void **state ATTR_UNUSED)
{
	buffer_t *out = buffer_create_dynamic(default_pool, 1024), *sealed;
	unsigned char *damaged;
	size_t cut, bit;

	sealed = age_encrypt("some words", 10);
	damaged = malloc(sealed->used);
	assert_non_null(damaged);
	for (cut = 0; cut < sealed->used; cut++) {
		assert_int_equal(test_decrypt(sealed->data, cut, 65536, out),
				 EPIPE);
		assert_int_equal(out->used, 0);
	}
	for (bit = 0; bit < sealed->used * 8; bit++) {
		memcpy(damaged, sealed->data, sealed->used);
		damaged[bit / 8] ^= (unsigned char)(1 << bit % 8);
		if (test_decrypt(damaged, sealed->used, 65536, out) == 0)
			fail_msg("bit %zu flipped: unnoticed", bit);
		assert_int_equal(out->used, 0);
	}
	free(damaged);
	buffer_free(&sealed);
	buffer_free(&out);
}

static void test_truncation_at_chunk_borders(void **state ATTR_UNUSED)
{
	buffer_t *out = buffer_create_dynamic(default_pool, 1024), *sealed;
	unsigned char *data = test_data(TEST_DATA_RANDOM, 200000);
	size_t border, cut;

	sealed = age_encrypt(data, 200000);
	for (border = 184; border < sealed->used; border += 65552) {
		for (cut = border - 2; cut <= border + 17; cut++) {
			/* a tag alone is an empty last chunk */
			assert_int_equal(
				test_decrypt(sealed->data, cut, 5000, out),
				cut == border + 16 && border > 184 ? EINVAL :
								     EPIPE);
			assert_true(out->used % 65536 == 0);
			assert_memory_equal(out->data, data, out->used);
		}
	}
	/* a whole file with a byte more */
	buffer_append_c(sealed, 0);
	assert_int_not_equal(
		test_decrypt(sealed->data, sealed->used, 5000, out), 0);
	buffer_free(&sealed);
	buffer_free(&out);
	free(data);
}

static void test_garbage(void **state ATTR_UNUSED)
{
	buffer_t *out = buffer_create_dynamic(default_pool, 1024);
	unsigned char *data = test_data(TEST_DATA_RANDOM, 400);
	size_t size;

	for (size = 0; size <= 400; size++) {
		assert_int_equal(test_decrypt(data, size, 1, out),
				 size == 0 ? EPIPE : EINVAL);
		assert_int_equal(out->used, 0);
	}
	buffer_free(&out);
	free(data);
}

static void test_wrong_key(void **state ATTR_UNUSED)
{
	struct age_identities *other = age_identities_new();
	char text[AGE_RECIPIENT_TEXT_SIZE], *error;
	buffer_t *sealed = age_encrypt("x", 1);
	struct istream *source, *input;

	assert_int_equal(age_keygen(test_path("other"), text, &error), 0);
	assert_int_equal(age_identities_add_file(other, test_path("other"),
						 NULL, &error),
			 0);
	source = i_stream_create_from_data(sealed->data, sealed->used);
	input = i_stream_create_decrypt(source, other);
	assert_int_equal(i_stream_read(input), -1);
	assert_int_equal(input->stream_errno, ENOKEY);
	assert_non_null(strstr(i_stream_get_error(input), "no identity"));
	i_stream_destroy(&input);
	i_stream_destroy(&source);
	age_identities_unref(&other);
	buffer_free(&sealed);
}

static void test_many_recipients(void **state ATTR_UNUSED)
{
	char text[AGE_RECIPIENT_TEXT_SIZE], *error;
	struct age_recipients *set = age_recipients_new();
	struct ostream *sink, *output;
	buffer_t *buf = buffer_create_dynamic(default_pool, 64), *out;
	unsigned int i;

	age_identities_get_recipient(test_keys.identities, 0, text);
	for (i = 0; i < 20; i++) {
		char other[AGE_RECIPIENT_TEXT_SIZE], name[32];

		(void)snprintf(name, sizeof(name), "many%u", i);
		assert_int_equal(age_keygen(test_path(name), other, &error), 0);
		assert_int_equal(age_recipients_add(set, other, &error), 0);
	}
	assert_int_equal(age_recipients_add(set, text, &error), 0);
	sink = o_stream_create_buffer(buf);
	output = o_stream_create_encrypt(sink, set);
	o_stream_nsend_str(output, "to all");
	assert_int_equal(o_stream_finish(output), 1);
	o_stream_destroy(&output);
	o_stream_destroy(&sink);
	out = buffer_create_dynamic(default_pool, 64);
	assert_int_equal(test_decrypt(buf->data, buf->used, 7, out), 0);
	assert_int_equal(out->used, 6);
	buffer_free(&out);
	buffer_free(&buf);
	age_recipients_unref(&set);

	/* nobody could read it */
	set = age_recipients_new();
	sink = o_stream_create_null();
	output = o_stream_create_encrypt(sink, set);
	assert_int_equal(output->stream_errno, EINVAL);
	o_stream_destroy(&output);
	o_stream_destroy(&sink);
	age_recipients_unref(&set);
}

static void test_random_access(void **state ATTR_UNUSED)
{
	const size_t size = 1000000;
	unsigned char *data = test_data(TEST_DATA_RANDOM, size);
	buffer_t *sealed = age_encrypt(data, size);
	struct istream *source, *input;
	const unsigned char *got;
	uint32_t seed = 99;
	uoff_t offset, total;
	size_t have;
	int i;

	source = i_stream_create_from_data(sealed->data, sealed->used);
	input = i_stream_create_decrypt(source, test_keys.identities);
	assert_int_equal(i_stream_get_size(input, true, &total), 1);
	assert_int_equal(total, size);
	for (i = 0; i < 1000; i++) {
		offset = test_random(&seed) % size;
		i_stream_seek(input, offset);
		assert_int_equal(i_stream_read_more(input, &got, &have), 1);
		assert_true(have <= size - offset);
		assert_memory_equal(got, data + offset, have);
	}
	i_stream_destroy(&input);
	i_stream_destroy(&source);

	/* cut at a chunk border: the first seek notices, not only the end */
	source = i_stream_create_from_data(sealed->data, 184 + 65552 * 3);
	input = i_stream_create_decrypt(source, test_keys.identities);
	i_stream_seek(input, 150000);
	assert_int_equal(i_stream_read(input), -1);
	assert_int_not_equal(input->stream_errno, 0);
	i_stream_destroy(&input);
	i_stream_destroy(&source);
	buffer_free(&sealed);
	free(data);
}

/* Reads on from where it is: data up to `size`, and then this error or the end. */
static void check_rest(struct istream *input, const unsigned char *data,
		       size_t size, int error)
{
	buffer_t *out = buffer_create_dynamic(default_pool, 1024);
	size_t offset = input->v_offset;

	assert_int_equal(test_read_all(input, out), error);
	assert_int_equal(out->used, size - offset);
	assert_memory_equal(out->data, data + offset, out->used);
	buffer_free(&out);
}

/* Reads and drops: the stream then stands at `offset`. */
static void read_to(struct istream *input, uoff_t offset)
{
	const unsigned char *got;
	size_t have;

	while (input->v_offset < offset) {
		assert_int_equal(i_stream_read_more(input, &got, &have), 1);
		i_stream_skip(input, I_MIN(have, offset - input->v_offset));
	}
}

/* The size is asked for where reading stands, which then goes on. */
static void check_size_at(const buffer_t *sealed, size_t cut, uoff_t offset,
			  const unsigned char *data, size_t size)
{
	struct istream *source =
		i_stream_create_from_data(sealed->data, sealed->used - cut);
	struct istream *input =
		i_stream_create_decrypt(source, test_keys.identities);
	uoff_t total;

	read_to(input, offset);
	assert_int_equal(i_stream_get_size(input, true, &total),
			 cut > 0 ? -1 : 1);
	assert_int_equal(input->stream_errno, cut > 0 ? EPIPE : 0);
	input->stream_errno = 0;
	assert_int_equal(input->v_offset, offset);
	check_rest(input, data, size, cut > 0 ? EPIPE : 0);
	i_stream_destroy(&input);
	i_stream_destroy(&source);
}

static void check_seek_in_cut(const buffer_t *sealed, size_t cut,
			      const uoff_t offsets[3],
			      const unsigned char *data, size_t size)
{
	struct istream *source =
		i_stream_create_from_data(sealed->data, sealed->used - cut);
	struct istream *input =
		i_stream_create_decrypt(source, test_keys.identities);

	read_to(input, offsets[0]);
	i_stream_seek(input, offsets[1]);
	assert_int_equal(i_stream_read(input), -1);
	assert_int_equal(input->stream_errno, EPIPE);
	input->stream_errno = 0;
	i_stream_seek(input, offsets[2]);
	check_rest(input, data, size, EPIPE);
	i_stream_destroy(&input);
	i_stream_destroy(&source);
}

/* A look at the end, for a seek or the size, is not where reading goes on; nor is an
   error that was met there the reader's, once he has gone back. */
static void test_back_from_the_end(void **state ATTR_UNUSED)
{
	const size_t size = 300000, whole = 4 * 65536;
	static const uoff_t seeks[][3] = { { 0, 250000, 0 },
					   { 0, 70000, 1000 },
					   { 100000, 250000, 0 },
					   { 100000, 250000, 150000 },
					   { 200000, 1000, 60000 } };
	static const uoff_t offsets[] = { 0, 1000, 40000, 100000, 262143 };
	/* within the last chunk's bytes; so that less than its tag is left */
	static const size_t cuts[] = { 10, 300000 - 4 * 65536 + 3 };
	unsigned char *data = test_data(TEST_DATA_RANDOM, size);
	buffer_t *sealed = age_encrypt(data, size);
	unsigned int i, j;

	for (i = 0; i < N_ELEMENTS(cuts); i++) {
		for (j = 0; j < N_ELEMENTS(seeks); j++)
			check_seek_in_cut(sealed, cuts[i], seeks[j], data,
					  whole);
		for (j = 0; j < N_ELEMENTS(offsets); j++)
			check_size_at(sealed, cuts[i], offsets[j], data, whole);
	}
	for (j = 0; j < N_ELEMENTS(offsets); j++)
		check_size_at(sealed, 0, offsets[j], data, size);
	buffer_free(&sealed);
	free(data);
}

static void test_the_age_command(void **state ATTR_UNUSED)
{
	static const size_t sizes[] = { 0, 1, 65535, 65536, 65537, 1048577 };
	char text[AGE_RECIPIENT_TEXT_SIZE];
	buffer_t *sealed, *out, *plain;
	unsigned char *data;
	size_t i;

	if (!test_have_program("age"))
		skip();
	age_identities_get_recipient(test_keys.identities, 0, text);
	out = buffer_create_dynamic(default_pool, 1024);
	for (i = 0; i < N_ELEMENTS(sizes); i++) {
		data = test_data(TEST_DATA_TEXT, sizes[i]);
		sealed = age_encrypt(data, sizes[i]);
		test_write_file(test_path("x.age"), sealed->data, sealed->used);
		assert_int_equal(
			test_command("age -d -i %s %s >%s", test_path("key"),
				     test_path("x.age"), test_path("x")),
			0);
		plain = test_read_file(test_path("x"));
		assert_int_equal(plain->used, sizes[i]);
		assert_memory_equal(plain->data, data, sizes[i]);
		buffer_free(&plain);
		buffer_free(&sealed);

		test_write_file(test_path("y"), data, sizes[i]);
		assert_int_equal(test_command("age -r %s -o %s %s", text,
					      test_path("y.age"),
					      test_path("y")),
				 0);
		sealed = test_read_file(test_path("y.age"));
		assert_int_equal(
			test_decrypt(sealed->data, sealed->used, 4096, out), 0);
		assert_int_equal(out->used, sizes[i]);
		assert_memory_equal(out->data, data, sizes[i]);
		buffer_free(&sealed);
		free(data);
	}
	buffer_free(&out);
	/* the key files of both */
	assert_int_equal(test_command("test \"$(age-keygen -y %s)\" = %s",
				      test_path("key"), text),
			 0);
}

/* Where nothing can go back there is no random access, but the way ahead is open. */
static void test_ahead_in_a_pipe(void **state ATTR_UNUSED)
{
	unsigned char *plain = test_data(TEST_DATA_RANDOM, 500000);
	buffer_t *file = age_encrypt(plain, 500000);
	struct istream *source, *once, *input;
	struct istream_chain *chain;
	const unsigned char *data;
	size_t size;

	source = i_stream_create_from_data(file->data, file->used);
	once = i_stream_create_chain(&chain, 0);
	i_stream_chain_append(chain, source);
	i_stream_chain_append_eof(chain);
	input = i_stream_create_decrypt(once, test_keys.identities);
	assert_false(input->seekable);
	i_stream_seek(input, 400000);
	while (i_stream_read(input) == 0)
		;
	data = i_stream_get_data(input, &size);
	assert_true(size > 0);
	assert_memory_equal(data, plain + 400000, size);
	i_stream_seek(input, 10);
	assert_int_equal(i_stream_read(input), -1);
	assert_int_equal(input->stream_errno, ESPIPE);
	i_stream_destroy(&input);
	i_stream_destroy(&once);
	i_stream_destroy(&source);
	buffer_free(&file);
	free(plain);
}

#define SECRET "what nobody is to find in memory"

/* In none of the blocks that are kept for others. */
static void expect_wiped(void)
{
	unsigned char *blocks[6];
	size_t i;

	for (i = 0; i < N_ELEMENTS(blocks); i++) {
		blocks[i] = block_get(IO_BLOCK_SIZE);
		assert_non_null(blocks[i]);
		assert_null(memmem(blocks[i], IO_BLOCK_SIZE, SECRET,
				   strlen(SECRET)));
	}
	for (i = 0; i < N_ELEMENTS(blocks); i++)
		block_put(&blocks[i], IO_BLOCK_SIZE, 0);
	block_cache_trim();
}

/* Plain text that waited for the codec, or for the reader. */
static void test_plain_text_is_wiped(void **state ATTR_UNUSED)
{
	const size_t size = strlen(SECRET);
	struct ostream *end = o_stream_create_null(), *output;
	struct istream *source, *input;
	buffer_t *text = buffer_create_dynamic(default_pool, 1000), *file;

	while (text->used < 20 * size)
		buffer_append(text, SECRET, size);
	file = age_encrypt(text->data, text->used);
	block_cache_trim();
	output = o_stream_create_encrypt(end, test_keys.recipients);
	o_stream_cork(output);
	assert_int_equal(o_stream_send(output, text->data, text->used),
			 text->used);
	o_stream_abort(output);
	o_stream_destroy(&output);
	expect_wiped();

	source = i_stream_create_from_data(file->data, file->used);
	input = i_stream_create_decrypt(source, test_keys.identities);
	i_stream_set_max_buffer_size(input, 8);
	i_stream_seek(input, size);
	assert_int_equal(i_stream_read(input), 8);
	i_stream_destroy(&input);
	i_stream_destroy(&source);
	expect_wiped();

	/* the other way round: a decoder that is written to */
	output = o_stream_create_transform(
		end, transform_create_age_decoder(test_keys.identities));
	assert_int_equal(o_stream_send(output, file->data, file->used),
			 file->used);
	assert_int_equal(o_stream_finish(output), 1);
	o_stream_destroy(&output);
	expect_wiped();
	o_stream_destroy(&end);
	buffer_free(&file);
	buffer_free(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_key_texts),
		cmocka_unit_test(test_key_files),
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_every_truncation_and_flip_is_found),
		cmocka_unit_test(test_truncation_at_chunk_borders),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_wrong_key),
		cmocka_unit_test(test_many_recipients),
		cmocka_unit_test(test_random_access),
		cmocka_unit_test(test_back_from_the_end),
		cmocka_unit_test(test_the_age_command),
		cmocka_unit_test(test_ahead_in_a_pipe),
		cmocka_unit_test(test_plain_text_is_wiped),
	};

	return cmocka_run_group_tests_name("age", tests, test_keys_setup,
					   test_keys_teardown);
}
