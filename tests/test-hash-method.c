/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "crc32c.h"
#include "hash-method.h"
#include "test-common.h"

#include <stdlib.h>

/* FIPS 180-4's examples are those of NIST's "Examples with Intermediate Values".
   BLAKE2b with 32 bytes is what `b2sum -l 256` prints; RFC 3720 B.4 lists the
   bytes of its sums in the other order. */
struct vector {
	const char *method;
	const char *in;
	size_t size;
	const char *hex;
};

#define FIPS_56 "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"
#define FIPS_112                                                   \
	"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn" \
	"hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu"
#define ZEROS_4 "\0\0\0\0"
#define ZEROS_32 ZEROS_4 ZEROS_4 ZEROS_4 ZEROS_4 ZEROS_4 ZEROS_4 ZEROS_4 ZEROS_4
#define ONES_8 "\xff\xff\xff\xff\xff\xff\xff\xff"

static const struct vector vectors[] = {
	{ "sha256", "", 0,
	  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
	{ "sha256", "abc", 3,
	  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
	{ "sha256", FIPS_56, 56,
	  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
	{ "sha512", "", 0,
	  "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
	  "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e" },
	{ "sha512", "abc", 3,
	  "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
	  "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f" },
	{ "sha512", FIPS_112, 112,
	  "8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018"
	  "501d289e4900f7e4331b99dec4b5433ac7d329eeb6dd26545e96e55b874be909" },
	{ "blake2b", "", 0,
	  "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8" },
	{ "blake2b", "abc", 3,
	  "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319" },
	{ "crc32", "", 0, "00000000" },
	{ "crc32", "123456789", 9, "cbf43926" },
	{ "crc32c", "", 0, "00000000" },
	{ "crc32c", "123456789", 9, "e3069283" },
	{ "crc32c", ZEROS_32, 32, "8a9136aa" },
	{ "crc32c", ONES_8 ONES_8 ONES_8 ONES_8, 32, "62a8ab43" },
	{ "crc32c",
	  "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"
	  "\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f",
	  32, "46dd794e" },
	{ "crc32c",
	  "\x1f\x1e\x1d\x1c\x1b\x1a\x19\x18\x17\x16\x15\x14\x13\x12\x11\x10"
	  "\x0f\x0e\x0d\x0c\x0b\x0a\x09\x08\x07\x06\x05\x04\x03\x02\x01\x00",
	  32, "113fdb5c" },
	/* an iSCSI read command */
	{ "crc32c",
	  "\x01\xc0\0\0" ZEROS_4 ZEROS_4 ZEROS_4 "\x14\0\0\0\0\0\4\0"
	  "\0\0\0\x14\0\0\0\x18\x28\0\0\0" ZEROS_4 "\2\0\0\0" ZEROS_4,
	  48, "d9963a56" },
	{ "size", "", 0, "0000000000000000" },
	{ "size", "a", 1, "0000000000000001" },
	{ "size", "abc", 3, "0000000000000003" },
};

static void assert_digest(const char *what, const struct hash_method *method,
			  const unsigned char *digest, const char *hex)
{
	char text[129];
	unsigned int i;

	assert_true(method->digest_size * 2 < sizeof(text));
	for (i = 0; i < method->digest_size; i++)
		(void)snprintf(text + 2 * i, 3, "%02x", digest[i]);
	if (strcmp(text, hex) != 0)
		fail_msg("%s: %s, not %s", what, text, hex);
}

static void test_hash_method_vectors(void **state ATTR_UNUSED)
{
	const struct hash_method *method;
	const struct vector *v;
	unsigned char digest[64];

	for (v = vectors; v < vectors + N_ELEMENTS(vectors); v++) {
		method = hash_method_lookup(v->method);
		assert_non_null(method);
		assert_string_equal(method->name, v->method);
		hash_method_get_digest(method, v->in, v->size, digest);
		assert_digest(v->method, method, digest, v->hex);
	}
}

/* Every cut of the data in two, with nothing (from NULL) in between, gives the
   same digest. */
static void test_hash_method_pieces(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, 300);
	unsigned char whole[64], pieces[64];
	const struct hash_method *method;
	unsigned int i;
	size_t cut;
	void *context;

	for (i = 0; (method = hash_methods[i]) != NULL; i++) {
		hash_method_get_digest(method, data, 300, whole);
		context = malloc(method->context_size);
		for (cut = 0; cut <= 300; cut++) {
			method->init(context);
			method->loop(context, data, cut);
			method->loop(context, NULL, 0);
			method->loop(context, data + cut, 300 - cut);
			memset(pieces, 0, sizeof(pieces));
			method->result(context, pieces);
			if (memcmp(whole, pieces, method->digest_size) != 0)
				fail_msg("%s cut at %zu", method->name, cut);
		}
		free(context);
	}
	free(data);
}

/* A context lies anywhere malloc() may put it, and the method keeps inside. */
static void test_hash_method_context_bounds(void **state ATTR_UNUSED)
{
	_Alignas(64) static unsigned char memory[2048];
	const struct hash_method *method;
	unsigned char digest[65], expected[64];
	size_t start, i;
	unsigned int m;

	for (m = 0; (method = hash_methods[m]) != NULL; m++) {
		assert_true(method->context_size <= 1024);
		hash_method_get_digest(method, "abc", 3, expected);
		for (start = 64; start < 128; start += 16) {
			memset(memory, 0xa5, sizeof(memory));
			memset(digest, 0xa5, sizeof(digest));
			method->init(memory + start);
			method->loop(memory + start, "abc", 3);
			method->result(memory + start, digest);
			assert_memory_equal(digest, expected,
					    method->digest_size);
			assert_int_equal(digest[method->digest_size], 0xa5);
			for (i = 0; i < sizeof(memory); i++) {
				if ((i < start ||
				     i >= start + method->context_size) &&
				    memory[i] != 0xa5)
					fail_msg("%s", method->name);
			}
		}
	}
}

static void test_hash_method_lookup(void **state ATTR_UNUSED)
{
	unsigned int i;

	for (i = 0; hash_methods[i] != NULL; i++)
		assert_ptr_equal(hash_method_lookup(hash_methods[i]->name),
				 hash_methods[i]);
	assert_int_equal(i, 6);
	assert_null(hash_method_lookup("md5"));
	assert_null(hash_method_lookup("sha"));
	assert_null(hash_method_lookup("sha2567"));
	assert_null(hash_method_lookup("SHA256"));
	assert_null(hash_method_lookup(""));
}

/* Bit by bit, as the polynomial says. */
static uint32_t crc32c_slow(uint32_t crc, const unsigned char *p, size_t size)
{
	unsigned int bit;

	crc = ~crc;
	for (; size > 0; size--, p++) {
		crc ^= *p;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82f63b78u : 0);
	}
	return ~crc;
}

static void must_agree(const unsigned char *data, size_t size, uint32_t begin)
{
	uint32_t expected = crc32c_slow(begin, data, size);

	if (crc32c(begin, data, size) != expected)
		fail_msg("crc32c: %zu bytes behind %08x", size, begin);
	if (crc32c_portable(begin, data, size) != expected)
		fail_msg("portable: %zu bytes behind %08x", size, begin);
}

static void test_crc32c_implementations_agree(void **state ATTR_UNUSED)
{
	/* what is summed up side by side, once and often, and what is left */
	static const size_t sizes[] = { 767,  768,  769,  1535, 1536,
					1543, 2304, 4544, 9999 };
	unsigned char *data = test_data(TEST_DATA_RANDOM, 10000 + 16);
	size_t align, size, i;

	for (align = 0; align < 16; align++) {
		for (size = 0; size <= 300; size++)
			must_agree(data + align, size,
				   align == 0 ? 0 :
						(uint32_t)size * 0x9e3779b1u);
		for (i = 0; i < N_ELEMENTS(sizes); i++)
			must_agree(data + align, sizes[i],
				   (uint32_t)align * 0x9e3779b1u);
	}
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hash_method_vectors),
		cmocka_unit_test(test_hash_method_pieces),
		cmocka_unit_test(test_hash_method_context_bounds),
		cmocka_unit_test(test_hash_method_lookup),
		cmocka_unit_test(test_crc32c_implementations_agree),
	};

	return cmocka_run_group_tests_name("hash-method", tests, NULL, NULL);
}
