/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Headers that are for others, too: their stanzas are longer than ours, and stand beside
   them. */

#include "config.h"
#include "test-stream-common.h"
#include "transform-age.h"

#include <errno.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_beside_ssh_keys),
		cmocka_unit_test(test_for_others_only),
	};

	return cmocka_run_group_tests_name("age-header", tests, test_keys_setup,
					   test_keys_teardown);
}
