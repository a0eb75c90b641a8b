/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* X25519 gives what RFC 7748 says, whichever library does it. */

#include "config.h"
#include "age-x25519.h"
#include "test-common.h"

#include <sodium.h>

#ifdef HAVE_LIBCRYPTO
#include <openssl/err.h>
#endif

static void from_hex(unsigned char out[AGE_X25519_SIZE], const char *text)
{
	size_t size;

	assert_int_equal(sodium_hex2bin(out, AGE_X25519_SIZE, text,
					strlen(text), NULL, &size, NULL),
			 0);
	assert_int_equal(size, AGE_X25519_SIZE);
}

/* RFC 7748, 6.1: a secret, its public key, the other one's, and what both share. */
static void test_what_the_rfc_says(void **state ATTR_UNUSED)
{
	static const char shared[] = "4a5d9d5ba4ce2de1728e3bf480350f25"
				     "e07e21c947d19e3376f09b3c1e161742";
	static const struct {
		const char *secret, *share, *peer;
	} rows[] = {
		{ "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51d"
		  "b92c2a",
		  "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa"
		  "9b4e6a",
		  "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f"
		  "882b4f" },
		{ "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff"
		  "88e0eb",
		  "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f"
		  "882b4f",
		  "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa"
		  "9b4e6a" },
	};
	unsigned char key[AGE_X25519_SIZE], secret[AGE_X25519_SIZE],
		got[2][AGE_X25519_SIZE], want[2][AGE_X25519_SIZE];
	struct age_x25519_peer peer;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		from_hex(secret, rows[i].secret);
		from_hex(key, rows[i].peer);
		from_hex(want[0], rows[i].share);
		from_hex(want[1], shared);
		age_x25519_peer_init(&peer, key);
		assert_true(age_x25519_share(&peer, secret, got[0], got[1]));
		assert_memory_equal(got, want, sizeof(want));
#ifdef HAVE_LIBCRYPTO
		/* libsodium's, too: one does what the other cannot */
		age_x25519_peer_deinit(&peer);
		sodium_memzero(got, sizeof(got));
		assert_true(age_x25519_share(&peer, secret, got[0], got[1]));
		assert_memory_equal(got, want, sizeof(want));
#endif
		age_x25519_peer_deinit(&peer);
	}
}

/* With these everybody would know the secret. */
static void test_points_of_low_order(void **state ATTR_UNUSED)
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
	unsigned char key[AGE_X25519_SIZE], secret[AGE_X25519_SIZE] = { 8 },
					    share[AGE_X25519_SIZE],
					    shared[AGE_X25519_SIZE];
	struct age_x25519_peer peer;
	size_t i;

	for (i = 0; i < N_ELEMENTS(points); i++) {
		from_hex(key, points[i]);
		age_x25519_peer_init(&peer, key);
		assert_false(age_x25519_share(&peer, secret, share, shared));
#ifdef HAVE_LIBCRYPTO
		/* a program that uses it, too, finds no error of ours */
		assert_int_equal(ERR_peek_error(), 0);
#endif
		age_x25519_peer_deinit(&peer);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_the_rfc_says),
		cmocka_unit_test(test_points_of_low_order),
	};

	return cmocka_run_group_tests_name("age-x25519", tests, NULL, NULL);
}
