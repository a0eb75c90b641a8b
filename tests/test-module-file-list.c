/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What spool_list(), spool_verify() and spool_count_strays() tell of the file store:
   which problem a message has, and what belongs to none. */

#include "config.h"
#include "age-keys.h"
#include "crc32c.h"
#include "spool.h"
#include "test-spool-common.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static const char wire[] = TEST_SPOOL_WIRE;

struct seen {
	unsigned int count;
	int error; /* of the last one */
	char problem[512];
};

static bool see_entry(const struct spool_entry *entry, void *context)
{
	struct seen *seen = context;

	seen->count++;
	seen->error = entry->error;
	(void)snprintf(seen->problem, sizeof(seen->problem), "%s",
		       entry->problem == NULL ? "" : entry->problem);
	assert_true((entry->problem == NULL) == (entry->error == 0));
	return true;
}

/* The one message that is there is listed, and verified, with this problem. */
static void must_see(struct spool *spool, int listed, int verified,
		     const char *words)
{
	struct seen seen;
	char *error;

	memset(&seen, 0, sizeof(seen));
	assert_int_equal(spool_list(spool, see_entry, &seen, &error), 0);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.error, listed);
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(spool_verify(spool, see_entry, &seen, &error), 0);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.error, verified);
	if (strstr(seen.problem, words) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", seen.problem, words);
}

static void count_strays(struct spool *spool, struct spool_strays *strays_r)
{
	char *error;

	if (spool_count_strays(spool, strays_r, &error) < 0)
		fail_msg("%s", error);
}

/* The line of a header file as a later version may write it. */
static void make_newer(const char *path)
{
	static const char words[] = "bobbin-h2 some other words ";
	char line[64];

	(void)snprintf(line, sizeof(line), "%s%08x\nmore", words,
		       (unsigned int)crc32c(0, words, sizeof(words) - 1));
	test_write_file(path, line, strlen(line));
}

/* It is not for us, and not damaged: all is left as it is. */
static void test_newer_version(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	email_message *message, *got;
	char path[512], body[512];
	struct spool_strays strays;
	buffer_t *headers;
	struct stat st;
	message_id id;

	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	assert_int_equal(spool_get(spool, &id, &message), IO_DONE);
	test_spool_file(&id, ".h", path);
	test_spool_file(&id, ".b", body);
	headers = test_read_file(path);
	make_newer(path);
	assert_int_equal(spool_get(spool, &id, &got), IO_FAIL);
	assert_int_equal(io_get_errno(), ENOTSUP);
	assert_non_null(strstr(io_get_error(), "a newer version of Bobbin"));
	assert_non_null(strstr(io_get_error(), path));
	must_see(spool, ENOTSUP, ENOTSUP, "a newer version of Bobbin");
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 1),
			 IO_FAIL);
	email_message_unref(&message);
	spool_close(&spool);
	spool = test_spool_open(0);
	assert_int_equal(test_spool_scan(spool), 0);
	count_strays(spool, &strays);
	assert_int_equal(strays.bodies + strays.quarantined, 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(stat(body, &st), 0);
	test_write_file(path, headers->data, headers->used);
	buffer_free(&headers);
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	spool_close(&spool);
}

static void test_headers_without_their_body(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	struct spool_strays strays;
	email_message *message;
	char path[512];
	message_id id;

	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	must_see(spool, 0, 0, "");
	test_spool_file(&id, ".b", path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(spool_get(spool, &id, &message), IO_FAIL);
	assert_int_equal(io_get_errno(), EINVAL);
	assert_non_null(strstr(io_get_error(), "is missing"));
	assert_non_null(strstr(io_get_error(), path));
	must_see(spool, EINVAL, EINVAL, "is missing");
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(spool_get(spool, &id, &message), IO_FAIL);
	assert_int_equal(io_get_errno(), EINVAL);
	must_see(spool, EINVAL, EINVAL, "not a regular file");
	count_strays(spool, &strays);
	assert_int_equal(strays.quarantined, 0);
	assert_int_equal(test_spool_scan(spool), 0);
	count_strays(spool, &strays);
	assert_int_equal(strays.quarantined, 1);
	spool_close(&spool);
}

static struct {
	struct spool *writer; /* NULL: it was its turn */
	message_id id;
} beside;

/* Who opens the body finds the message gone. */
static int removing_openat(int dir, const char *path, int flags, mode_t mode)
{
	struct spool *writer = beside.writer;
	size_t size = strlen(path);

	if (writer != NULL && size > 2 && strcmp(path + size - 2, ".b") == 0) {
		beside.writer = NULL;
		assert_int_equal(spool_remove(writer, &beside.id), IO_DONE);
	}
	return file_ops_system.openat(dir, path, flags, mode);
}

/* That is no damage to who reads beside the writer. */
static void test_removed_under_a_reader(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new(""), *reader;
	struct file_ops ops = file_ops_system;
	unsigned int i, total;

	reader = test_spool_open(SPOOL_OPEN_READ_ONLY);
	ops.openat = removing_openat;
	file_ops_set(&ops);
	for (i = 0; i < 2; i++) {
		assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1,
						&beside.id),
				 IO_DONE);
		beside.writer = spool;
		if (i == 0)
			assert_int_equal(test_spool_read(reader, &beside.id, 0,
							 NULL),
					 ENOENT);
		else
			assert_int_equal(test_spool_damaged(reader, &total), 0);
		assert_null(beside.writer);
	}
	assert_int_equal(total, 0);
	file_ops_set(NULL);
	spool_close(&reader);
	spool_close(&spool);
}

static void test_strays_are_counted(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new(""), *looking;
	char path[512], other[512];
	struct spool_strays strays;
	message_id ids[3];
	unsigned int i;

	for (i = 0; i < 3; i++)
		assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1,
						&ids[i]),
				 IO_DONE);
	count_strays(spool, &strays);
	assert_int_equal(strays.bodies + strays.temporary + strays.bytes, 0);
	spool_close(&spool);
	/* headers gone; a body beside the one that its headers speak of */
	test_spool_file(&ids[0], ".h", path);
	assert_int_equal(unlink(path), 0);
	test_spool_file(&ids[1], ".0123456789abcdef.b", path);
	test_write_file(path, "xyz", 3);
	(void)snprintf(other, sizeof(other), "%s/messages/tmp/.bobbin-tmp-1",
		       test_spool_dir());
	test_write_file(other, "x", 1);
	looking = test_spool_open(SPOOL_OPEN_READ_ONLY);
	count_strays(looking, &strays);
	assert_int_equal(strays.bodies, 2);
	assert_int_equal(strays.temporary, 1);
	assert_int_equal(strays.bytes, sizeof(wire) - 1 + 3 + 1);
	assert_int_equal(strays.quarantined, 0);
	spool = test_spool_open(0);
	count_strays(looking, &strays);
	assert_int_equal(strays.temporary, 0);
	assert_int_equal(test_spool_scan(spool), 2);
	count_strays(looking, &strays);
	assert_int_equal(strays.bodies + strays.bytes, 0);
	spool_close(&looking);
	spool_close(&spool);
}

/* A key that does not fit says nothing about the message. */
static void test_verify_with_another_key(void **state ATTR_UNUSED)
{
	char stack[600], text[AGE_RECIPIENT_TEXT_SIZE], path[512], *error;
	struct stream_context keys = { .identities = age_identities_new() };
	struct spool *spool;
	message_id id;

	assert_int_equal(age_keygen(test_path("other"), text, &error), 0);
	assert_int_equal(age_identities_add_file(keys.identities,
						 test_path("other"), NULL,
						 &error),
			 0);
	(void)snprintf(stack, sizeof(stack), "age:recipients=%s",
		       test_path("public"));
	spool = test_spool_new(stack);
	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	spool_close(&spool);
	spool = spool_open(test_spool_dir(), 0, &keys, &error);
	assert_non_null(spool);
	must_see(spool, 0, ENOKEY, "no identity matches");
	test_spool_file(&id, ".b", path);
	assert_int_equal(truncate(path, 100), 0);
	must_see(spool, 0, EINVAL, "its hash is wrong");
	must_see(spool, 0, EINVAL, path);
	spool_close(&spool);
	age_identities_unref(&keys.identities);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_newer_version),
		cmocka_unit_test(test_headers_without_their_body),
		cmocka_unit_test(test_removed_under_a_reader),
		cmocka_unit_test(test_strays_are_counted),
		cmocka_unit_test(test_verify_with_another_key),
	};

	return cmocka_run_group_tests_name("module-file-list", tests,
					   test_spool_setup,
					   test_spool_teardown);
}
