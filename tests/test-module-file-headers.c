/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The checksum that a header file's line has of what is behind it: who finds damage by it,
   with the stack's key and without. */

#include "config.h"
#include "spool.h"
#include "test-spool-common.h"

#include <errno.h>
#include <stdlib.h>

static const char wire[] = TEST_SPOOL_WIRE;

static const struct {
	const char *body;
	bool encrypts;
} stacks[] = {
	{ "", false },
	{ "gzip", false },
	{ "age:recipients=%s", true },
	{ "gzip | age:recipients=%s", true },
#ifdef HAVE_ZSTD
	{ "zstd", false },
	{ "zstd | age:recipients=%s", true },
#endif
};

/* A spool of that stack, with one message; it is closed. */
static void put_one(size_t stack, message_id *id_r)
{
	struct spool *spool;
	char spec[600];

	if (stacks[stack].encrypts)
		(void)snprintf(spec, sizeof(spec), "%.*s%s",
			       (int)(strlen(stacks[stack].body) - 2),
			       stacks[stack].body, test_path("public"));
	else
		(void)snprintf(spec, sizeof(spec), "%s", stacks[stack].body);
	spool = test_spool_new(spec);
	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, id_r),
			 IO_DONE);
	spool_close(&spool);
}

static struct spool *open_without_keys(unsigned int flags)
{
	struct spool *spool;
	char *error;

	spool = spool_open(test_spool_dir(), flags, NULL, &error);
	if (spool == NULL)
		fail_msg("%s", error);
	return spool;
}

/* What verify calls the one message that is there: 0, or the errno. */
static bool note_problem(const struct spool_entry *entry, void *context)
{
	int *error = context;

	assert_int_equal(*error, -1);
	*error = entry->error;
	return true;
}

static int verify_one(struct spool *spool)
{
	int problem = -1;
	char *error;

	assert_int_equal(spool_verify(spool, note_problem, &problem, &error),
			 0);
	return problem;
}

/* Behind the LF of its line. */
static size_t behind_the_line(const buffer_t *file)
{
	const unsigned char *lf = memchr(file->data, '\n', file->used);

	assert_non_null(lf);
	return (size_t)(lf + 1 - (const unsigned char *)file->data);
}

/* A message with this row's stacks: what its headers' file has. */
static buffer_t *put_headers(size_t i, message_id *id, char path[512])
{
	put_one(i, id);
	test_spool_file(id, ".h", path);
	return test_read_file(path);
}

static void write_changed(const char *path, buffer_t *file, size_t at)
{
	unsigned char *data = buffer_get_modifiable_data(file, NULL);

	data[at] ^= 0x10;
	test_write_file(path, data, file->used);
	data[at] ^= 0x10;
}

/* Each byte of a headers' file, changed; and the file, cut before it or with one byte more:
   whether somebody has the key is all the same. */
static void test_damage_is_found_without_a_key(void **state ATTR_UNUSED)
{
	struct spool *spool;
	char path[512];
	buffer_t *file;
	message_id id;
	size_t i, at;

	for (i = 0; i < N_ELEMENTS(stacks); i++) {
		file = put_headers(i, &id, path);
		spool = open_without_keys(SPOOL_OPEN_READ_ONLY);
		assert_int_equal(verify_one(spool), 0);
		for (at = 0; at < file->used; at++) {
			write_changed(path, file, at);
			if (verify_one(spool) != EINVAL)
				fail_msg("%s, byte %zu: unnoticed",
					 stacks[i].body, at);
			test_write_file(path, file->data, at);
			if (verify_one(spool) != EINVAL)
				fail_msg("%s, cut at %zu: unnoticed",
					 stacks[i].body, at);
		}
		buffer_append(file, "x", 1);
		test_write_file(path, file->data, file->used);
		assert_int_equal(verify_one(spool), EINVAL);
		test_write_file(path, file->data, file->used - 1);
		assert_int_equal(verify_one(spool), 0);
		spool_close(&spool);
		buffer_free(&file);
	}
}

/* Whatever the stack knows of it: some bytes of a codec's header mean nothing to it. */
static void test_readers_are_told(void **state ATTR_UNUSED)
{
	email_message *message;
	struct spool *spool;
	char path[512];
	buffer_t *file;
	message_id id;
	size_t i, at;

	for (i = 0; i < N_ELEMENTS(stacks); i++) {
		file = put_headers(i, &id, path);
		spool = test_spool_open(SPOOL_OPEN_READ_ONLY);
		for (at = behind_the_line(file); at < file->used; at++) {
			write_changed(path, file, at);
			if (spool_get(spool, &id, &message) != IO_FAIL)
				fail_msg("%s, byte %zu: unnoticed",
					 stacks[i].body, at);
		}
		test_write_file(path, file->data, file->used);
		test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
		spool_close(&spool);
		buffer_free(&file);
	}
}

/* Which file, and what to do. */
static void test_damaged_headers_are_named(void **state ATTR_UNUSED)
{
	email_message *message;
	struct spool *spool;
	char path[512];
	message_id id;

	put_one(0, &id);
	test_spool_file(&id, ".h", path);
	test_flip(path, 200);
	spool = test_spool_open(SPOOL_OPEN_READ_ONLY);
	assert_int_equal(spool_get(spool, &id, &message), IO_FAIL);
	assert_int_equal(io_get_errno(), EINVAL);
	if (strncmp(io_get_error(), path, strlen(path)) != 0 ||
	    strstr(io_get_error(), "restore the file from a copy") == NULL)
		fail_msg("%s", io_get_error());
	spool_close(&spool);
}

static void damage_the_end(const char *path)
{
	buffer_t *file = test_read_file(path);

	test_flip(path, file->used - 3);
	buffer_free(&file);
}

/* A start reads the line alone; a repair needs no key for the rest. */
static void test_repair_without_a_key(void **state ATTR_UNUSED)
{
	struct spool *spool;
	struct spool_strays strays;
	char path[512];
	message_id id;
	size_t i;

	for (i = 0; i < N_ELEMENTS(stacks); i++) {
		put_one(i, &id);
		spool = open_without_keys(SPOOL_OPEN_REPAIR);
		assert_int_equal(test_spool_scan(spool), 1);
		spool_close(&spool);
		test_spool_file(&id, ".h", path);
		damage_the_end(path);
		spool = open_without_keys(0);
		assert_int_equal(test_spool_scan(spool), 1);
		spool_close(&spool);
		spool = open_without_keys(SPOOL_OPEN_REPAIR);
		assert_int_equal(test_spool_scan(spool), 0);
		test_spool_count_strays(spool, &strays);
		assert_int_equal(strays.quarantined, 1);
		spool_close(&spool);
	}
}

/* What cannot be undone here is whole all the same, or it is not. */
static void test_stacks_of_a_newer_version(void **state ATTR_UNUSED)
{
	struct spool *spool;
	char path[512];
	message_id id;

	put_one(0, &id);
	test_spool_file(&id, ".h", path);
	test_spool_replace_word(path, 5, "brotli", "\n");
	spool = open_without_keys(SPOOL_OPEN_READ_ONLY);
	assert_int_equal(verify_one(spool), ENOTSUP);
	damage_the_end(path);
	assert_int_equal(verify_one(spool), EINVAL);
	spool_close(&spool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_damage_is_found_without_a_key),
		cmocka_unit_test(test_readers_are_told),
		cmocka_unit_test(test_damaged_headers_are_named),
		cmocka_unit_test(test_repair_without_a_key),
		cmocka_unit_test(test_stacks_of_a_newer_version),
	};

	return cmocka_run_group_tests_name("module-file-headers", tests,
					   test_spool_setup,
					   test_spool_teardown);
}
