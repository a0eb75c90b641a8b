/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Headers that are for others, too: their stanzas are longer than ours, and stand beside
   them; or are so many that there is a bound. And recipients for whom none may be made. */

#include "config.h"
#include "age-bech32.h"
#include "age-header.h"
#include "test-stream-common.h"
#include "transform-age.h"

#include <errno.h>
#include <sodium.h>

/* Of 2,048 bits, so that a stanza's body ends in the middle of a line, and of 3,072, where
   the last line is an empty one. They were made for this test, and nobody has the other
   half of them. */
#define RSA_2048                                                       \
	"ssh-rsa "                                                     \
	"AAAAB3NzaC1yc2EAAAADAQABAAABAQDKfe9qr6PwIFU36fPXfTUo441r+DKO" \
	"rgDBkffFUlH+gBLyj+YtteETw8v9OsiqY4LhqarnAG9mvhCUt/biEm0DLhBI" \
	"zGqlmiNwsoYJBTKUP5eWZATdBymgDO/MTCsI+A1e2H9InYKmrjTcagcr2O8I" \
	"7SJF6744MX2KAfJhrB9axGEWehEfTYSoJuAQsRMnA1PVqLFtA7LjLSU537k6" \
	"pK8fO0cVhuPlNKXXynr27G4qfAVaHLIDu729HO3vxt8xZ3PcVwir6XjCsOFC" \
	"fgic8+q1UBAa5iKa3/O9VlJ9aUTFB2WhVFBfvgnh0s9JqousVkWiyo260xBb" \
	"HbVaTQXf+1Qj"
#define RSA_3072                                                       \
	"ssh-rsa "                                                     \
	"AAAAB3NzaC1yc2EAAAADAQABAAABgQCTFHxpAMwMwY8FfuuUmEXPVJ6yNPwL" \
	"p4KIe9My/ocBH2Z6sZY5+1QIdRh6VuYtTIPWUjFsMbpIvl4vfBiFZdCw/NCw" \
	"CLQ1YIZZawgN7IBPINrqKbzWLQNursEbG4L0q4myrwQ4703NRfvHBFPPmsBf" \
	"ODY/tq5PYI9MGmr0T4WehFg898JWSFlSqvJvTxNNFnCbV8aRVLlR6QxXz2BA" \
	"9exO8/NGHo4s2MRyfYmHK3FqA8US3dC2KHDPrIQyM9Pd9crhzlL66KofHBnJ" \
	"gvubaiNhDktbdkfHzUMCV2g7xaJ4NQJF6WFcAMJZvp/E4BUcpvtc/Iv6lhD+" \
	"kScyhmSLVBnlxHIEKnubvUJC4szc2oCtXR6+vIhix1TdAyDhHQ1XD7KDk5i8" \
	"7zvbFt18vPynowwbZHnxpgwFk2Om+zjA/YNeivw/IQCkEQ0U+0uIPOApeqGf" \
	"+TWy20dDOFC9W1xSbT/rFD9u3hlSEqWKRul3gJMv7Zlrja6kXmqBfUJCb8Y6" \
	"7gs="

static const char plain[] = "From: a@example.org\r\n\r\nhello\r\n";

/* By the age command, for one who has an SSH key and for us. */
static buffer_t *seal_for(const char *first, const char *second)
{
	assert_int_equal(test_command("age -r '%s' -r '%s' -o %s %s", first,
				      second, test_path("x.age"),
				      test_path("x")),
			 0);
	return test_read_file(test_path("x.age"));
}

static void test_beside_ssh_keys(void **state ATTR_UNUSED)
{
	static const char *const others[] = { RSA_2048, RSA_3072 };
	static const size_t steps[] = { 1, 64, 65536 };
	buffer_t *out = buffer_create_dynamic(default_pool, 64), *sealed;
	char own[AGE_RECIPIENT_TEXT_SIZE];
	size_t i, j;

	if (!test_have_program("age"))
		skip();
	age_identities_get_recipient(test_keys.identities, 0, own);
	test_write_file(test_path("x"), plain, sizeof(plain) - 1);
	for (i = 0; i < 2 * N_ELEMENTS(others); i++) {
		sealed = seal_for(i % 2 == 0 ? own : others[i / 2],
				  i % 2 == 0 ? others[i / 2] : own);
		for (j = 0; j < N_ELEMENTS(steps); j++) {
			assert_int_equal(test_decrypt(sealed->data,
						      sealed->used, steps[j],
						      out),
					 0);
			assert_int_equal(out->used, sizeof(plain) - 1);
			assert_memory_equal(out->data, plain, out->used);
		}
		buffer_free(&sealed);
	}
	buffer_free(&out);
}

/* A stanza with a long argument. The file of a public vector is behind its first empty line. */
static void test_for_others_only(void **state ATTR_UNUSED)
{
	buffer_t *vector =
		test_read_file(test_data_path("age/hybrid_and_x25519"));
	buffer_t *out = buffer_create_dynamic(default_pool, 64);
	const unsigned char *end = vector->data + vector->used, *file;

	for (file = vector->data; memcmp(file, "\n\n", 2) != 0; file++)
		assert_true(file + 2 < end);
	file += 2;
	assert_int_equal(test_decrypt(file, (size_t)(end - file), 7, out),
			 ENOKEY);
	assert_int_equal(out->used, 0);
	buffer_free(&out);
	buffer_free(&vector);
}

/* A header of so many bytes for somebody else: full lines, and one that is not. */
static buffer_t *header_of(size_t size, const char *name)
{
	static const char end[] =
		"--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n";
	buffer_t *header = buffer_create_dynamic(default_pool, size);
	size_t i, left;

	buffer_append(header, "age-encryption.org/v1\n-> ", 25);
	buffer_append(header, name, strlen(name));
	buffer_append_c(header, '\n');
	left = size - header->used - (sizeof(end) - 1);
	for (i = 0; i < left; i++)
		buffer_append_c(header,
				i % 65 == 64 || i == left - 1 ? '\n' : 'A');
	buffer_append(header, end, sizeof(end) - 1);
	assert_int_equal(header->used, size);
	return header;
}

/* A header has a bound, which belongs to it. */
static void test_the_largest(void **state ATTR_UNUSED)
{
	static const struct {
		const char *name;
		size_t size;
		int error;
	} rows[] = {
		{ "grease", AGE_HEADER_MAX, ENOKEY },
		{ "grease1", AGE_HEADER_MAX + 1, EINVAL },
	};
	static const size_t steps[] = { 1000, AGE_HEADER_MAX + 1 };
	buffer_t *out = buffer_create_dynamic(default_pool, 64), *header;
	size_t i, j;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		header = header_of(rows[i].size, rows[i].name);
		for (j = 0; j < N_ELEMENTS(steps); j++)
			assert_int_equal(test_decrypt(header->data,
						      header->used, steps[j],
						      out),
					 rows[i].error);
		buffer_free(&header);
	}
	buffer_free(&out);
}

/* A stream to a public key; the error of its first bytes, behind which there are none. */
static int seal_for_point(const char *hex, buffer_t *sealed)
{
	struct age_recipients *set = age_recipients_new();
	char text[AGE_RECIPIENT_TEXT_SIZE], *error = NULL;
	struct ostream *end, *output;
	unsigned char key[32];
	int ret;

	assert_int_equal(sodium_hex2bin(key, sizeof(key), hex, strlen(hex),
					NULL, NULL, NULL),
			 0);
	bech32_encode_key("age", key, false, text);
	assert_int_equal(age_recipients_add(set, text, &error), 0);
	end = o_stream_create_buffer(sealed);
	output = o_stream_create_encrypt(end, set);
	o_stream_nsend(output, plain, sizeof(plain) - 1);
	assert_int_equal(o_stream_finish(output), -1);
	assert_non_null(strstr(o_stream_get_error(output), "low order"));
	ret = output->stream_errno;
	o_stream_abort(output);
	o_stream_destroy(&output);
	o_stream_destroy(&end);
	age_recipients_unref(&set);
	return ret;
}

/* With these everybody would know the secret that the file's key is under. */
static void test_recipients_of_low_order(void **state ATTR_UNUSED)
{
	static const char *const points[] = {
		"00000000000000000000000000000000"
		"00000000000000000000000000000000",
		"01000000000000000000000000000000"
		"00000000000000000000000000000000",
		"ecffffffffffffffffffffffffffffff"
		"ffffffffffffffffffffffffffffff7f",
		"e0eb7a7c3b41b8ae1656e3faf19fc46a"
		"da098deb9c32b1fd866205165f49b800",
	};
	buffer_t *sealed = buffer_create_dynamic(default_pool, 64);
	size_t i;

	for (i = 0; i < N_ELEMENTS(points); i++) {
		assert_int_equal(seal_for_point(points[i], sealed), EINVAL);
		assert_int_equal(sealed->used, 0);
	}
	buffer_free(&sealed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_beside_ssh_keys),
		cmocka_unit_test(test_for_others_only),
		cmocka_unit_test(test_the_largest),
		cmocka_unit_test(test_recipients_of_low_order),
	};

	return cmocka_run_group_tests_name("age-header", tests, test_keys_setup,
					   test_keys_teardown);
}
