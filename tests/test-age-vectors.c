/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The public vectors of the age format, tests/data/age: each file gives what its head says. */

#include "config.h"
#include "test-stream-common.h"

#include "age-keys.h"
#include "transform-age.h"

#include <dirent.h>
#include <errno.h>
#include <sodium.h>

struct vector {
	char expect[32];
	unsigned char payload[32];
	bool have_payload, skip, compressed, armored;
	struct age_identities *ids;
	const unsigned char *file;
	size_t size;
};

static unsigned int not_run;

static void vector_key(struct vector *v, const char *key, const char *value,
		       const char *name)
{
	char *error;

	if (strcmp(key, "expect") == 0) {
		(void)snprintf(v->expect, sizeof(v->expect), "%.31s", value);
	} else if (strcmp(key, "payload") == 0) {
		assert_int_equal(sodium_hex2bin(v->payload, 32, value,
						strlen(value), NULL, NULL,
						NULL),
				 0);
		v->have_payload = true;
	} else if (strcmp(key, "identity") == 0) {
		if (strncmp(value, "AGE-SECRET-KEY-PQ-1", 19) == 0) {
			printf("NOT RUN: %s: post-quantum identities are not "
			       "supported\n",
			       name);
			v->skip = true;
		} else {
			assert_int_equal(
				age_identities_add(v->ids, value, &error), 0);
		}
	} else if (strcmp(key, "passphrase") == 0) {
		assert_int_equal(age_identities_add_passphrase(v->ids, value,
							       22, &error),
				 0);
	} else if (strcmp(key, "armored") == 0) {
		v->armored = true;
	} else if (strcmp(key, "compressed") == 0) {
		v->compressed = true;
	} else if (strcmp(key, "file key") != 0 &&
		   strcmp(key, "comment") != 0) {
		printf("NOT RUN: %s: unknown key %s\n", name, key);
		v->skip = true;
	}
}

static void parse_vector(struct vector *v, const buffer_t *buf,
			 const char *name)
{
	const unsigned char *p = buf->data, *lf, *colon;
	char key[64], value[2048];

	for (;; p = lf + 1) {
		lf = memchr(p, '\n', buf->used - (size_t)(p - buf->data));
		assert_non_null(lf);
		if (lf == p)
			break;
		colon = memchr(p, ':', (size_t)(lf - p));
		assert_non_null(colon);
		(void)snprintf(key, sizeof(key), "%.*s", (int)(colon - p), p);
		(void)snprintf(value, sizeof(value), "%.*s",
			       (int)(lf - colon - 2), colon + 2);
		vector_key(v, key, value, name);
	}
	v->file = lf + 1;
	v->size = buf->used - (size_t)(lf + 1 - buf->data);
}

/* The vectors' name for the error that the stream gave. */
static const char *outcome(struct istream *input)
{
	const char *error = i_stream_get_error(input);

	if (input->stream_errno == 0)
		return "success";
	if (input->stream_errno == ENOKEY)
		return "no match";
	if (strstr(error, "armor: ") != NULL)
		return "armor failure";
	if (strstr(error, "header MAC:") != NULL)
		return "HMAC failure";
	if (strstr(error, "header:") != NULL)
		return "header failure";
	if (strstr(error, "payload:") != NULL ||
	    strstr(error, "data after the end") != NULL)
		return "payload failure";
	return error;
}

static void run_vector(struct vector *v, const char *name, size_t step)
{
	struct istream *source, *file, *plain, *input;
	buffer_t *out = buffer_create_dynamic(default_pool, 1024);
	unsigned char hash[32];

	source = test_trickle_create(v->file, v->size, step, false);
	file = source;
	i_stream_ref(file);
	if (v->compressed) {
		i_stream_unref(&file);
		file = i_stream_create_zlib(source);
	}
	plain = file;
	i_stream_ref(plain);
	if (v->armored) {
		i_stream_unref(&plain);
		plain = i_stream_create_transform(
			file, transform_create_armor_decoder());
	}
	input = i_stream_create_decrypt(plain, v->ids);
	(void)test_read_all(input, out);
	if (strcmp(outcome(input), v->expect) != 0)
		fail_msg("%s (step %zu): expected %s, got %s: %s", name, step,
			 v->expect, outcome(input), i_stream_get_error(input));
	(void)crypto_hash_sha256(hash, out->data, out->used);
	if (v->have_payload && memcmp(hash, v->payload, 32) != 0)
		fail_msg("%s (step %zu): wrong plain text (%zu bytes)", name,
			 step, out->used);
	if (!v->have_payload)
		assert_int_equal(out->used, 0);
	i_stream_destroy(&input);
	i_stream_destroy(&plain);
	i_stream_destroy(&file);
	i_stream_destroy(&source);
	buffer_free(&out);
}

static void test_public_vectors(void **state ATTR_UNUSED)
{
	DIR *dir = opendir(test_data_path("age"));
	struct dirent *entry;
	struct vector v;
	char path[512];
	unsigned int count = 0;
	buffer_t *buf;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.' ||
		    strcmp(entry->d_name, "README.md") == 0)
			continue;
		(void)snprintf(path, sizeof(path), "age/%s", entry->d_name);
		buf = test_read_file(test_data_path(path));
		memset(&v, 0, sizeof(v));
		v.ids = age_identities_new();
		parse_vector(&v, buf, entry->d_name);
		if (v.skip) {
			not_run++;
		} else {
			run_vector(&v, entry->d_name, 65536);
			run_vector(&v, entry->d_name, v.compressed ? 4096 : 1);
			count++;
		}
		age_identities_unref(&v.ids);
		buffer_free(&buf);
	}
	(void)closedir(dir);
	printf("%u vectors run, %u not run\n", count, not_run);
	/* all but those for post-quantum identities */
	assert_true(count >= 69);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_public_vectors),
	};

	return cmocka_run_group_tests_name("age-vectors", tests, NULL, NULL);
}
