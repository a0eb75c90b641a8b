/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Which problem spool_list(), spool_verify() and a read tell of a message in the file store
   that is of a newer version, without sense, without its body or not to be read. */

#include "config.h"
#include "age-keys.h"
#include "crc32c.h"
#include "file-ops.h"
#include "spool.h"
#include "spool-stacks.h"
#include "test-spool-common.h"

#include <errno.h>
#include <stdlib.h>
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

/* The line of a header file as a later version may write it. */
static void make_newer(const char *path)
{
	static const char words[] = "bobbin-h3 some other words ";
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
	test_spool_count_strays(spool, &strays);
	assert_int_equal(strays.bodies + strays.quarantined, 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(stat(body, &st), 0);
	test_write_file(path, headers->data, headers->used);
	buffer_free(&headers);
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	spool_close(&spool);
}

static bool see_nothing_of_it(const struct spool_entry *entry, void *context)
{
	assert_int_equal(entry->error, EINVAL);
	assert_int_equal(entry->version, 0);
	assert_int_equal(entry->body_len, 0);
	assert_string_equal(entry->headers_stack, "");
	++*(unsigned int *)context;
	return true;
}

/* What another message's line says is not told of this one, and nobody waits for that one
   to change, which may be elsewhere. */
static void test_a_line_of_another_message(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	char path[512], other_path[512], *error;
	unsigned int count = 0, i;
	message_id id, other;
	buffer_t *headers;

	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	other = id;
	/* of its directory, and of another one */
	for (i = 8; i <= 15; i += 7) {
		other.bytes[i] ^= 1;
		assert_int_equal(test_spool_put_as(spool, wire,
						   sizeof(wire) - 1, &other),
				 IO_DONE);
		test_spool_file(&id, ".h", path);
		test_spool_file(&other, ".h", other_path);
		headers = test_read_file(other_path);
		test_write_file(path, headers->data, headers->used);
		/* or it would be listed, too */
		test_write_file(other_path, headers->data, 30);
		assert_int_equal(spool_list(spool, see_nothing_of_it, &count,
					    &error),
				 0);
		test_write_file(other_path, headers->data, headers->used);
		buffer_free(&headers);
		assert_int_equal(spool_remove(spool, &other), IO_DONE);
	}
	assert_int_equal(count, 4);
	spool_close(&spool);
}

/* A checksum that is right does not make sense of what has none. */
static void test_lines_without_sense(void **state ATTR_UNUSED)
{
	static const char hash[] = "0123456789abcdef0123456789abcdef"
				   "0123456789abcdef0123456789abcde";
	char longest[600], stack[200], short_hash[70], long_hash[70], bad[70];
	const struct {
		unsigned int word;
		const char *text, *end;
		int error;
	} rows[] = {
		{ 0, "bobbin-h3", "\n", ENOTSUP },
		{ 0, "bobbin-h12", "\n", ENOTSUP },
		{ 0, "bobbin-h22", "\n", ENOTSUP },
		/* a word too many for that number */
		{ 0, "bobbin-h1", "\n", EINVAL },
		{ 0, "bobbin-x1", "\n", EINVAL },
		{ 1, "nobody", "\n", EINVAL },
		{ 2, "-1", "\n", EINVAL },
		{ 2, "+1", "\n", EINVAL },
		{ 2, "1x", "\n", EINVAL },
		{ 2, "", "\n", EINVAL },
		{ 2, "18446744073709551616", "\n", EINVAL },
		{ 3, "0x1d", "\n", EINVAL },
		{ 3, "29 29", "\n", EINVAL },
		{ 4, short_hash, "\n", EINVAL },
		{ 4, long_hash, "\n", EINVAL },
		{ 4, bad, "\n", EINVAL },
		{ 5, "", "\n", EINVAL },
		{ 5, stack, "\n", EINVAL },
		{ 6, "", "\n", EINVAL },
		{ 6, stack, "\n", EINVAL },
		{ 6, "plain more", "\n", EINVAL },
		{ 6, longest, "\n", EINVAL },
		{ 7, "", "\n", EINVAL },
		{ 7, "0123456", "\n", EINVAL },
		{ 7, "0123456g", "\n", EINVAL },
		{ 7, "012345678", "\n", EINVAL },
		{ 7, "01234567 0", "\n", EINVAL },
		{ 7, "01234567", "\r\n", EINVAL },
	};
	struct spool *spool = test_spool_new("");
	email_message *message;
	buffer_t *headers;
	char path[512];
	message_id id;
	size_t i;

	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	memset(stack, 'x', sizeof(stack));
	stack[SPOOL_STACK_SIZE] = '\0';
	(void)snprintf(short_hash, sizeof(short_hash), "%.62s", hash);
	(void)snprintf(long_hash, sizeof(long_hash), "%s012", hash);
	(void)snprintf(bad, sizeof(bad), "%sg", hash);
	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	test_spool_file(&id, ".h", path);
	headers = test_read_file(path);
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		test_spool_replace_word(path, rows[i].word, rows[i].text,
					rows[i].end);
		if (spool_get(spool, &id, &message) != IO_FAIL ||
		    io_get_errno() != rows[i].error)
			fail_msg("row %zu: %s", i, io_get_error());
		must_see(spool, rows[i].error, rows[i].error, path);
		test_write_file(path, headers->data, headers->used);
	}
	test_spool_replace_word(path, 6, "plain", "\n");
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	buffer_free(&headers);
	spool_close(&spool);
}

/* All bytes are those that were written, and are not what the headers speak of: a repair
   leaves them. */
static void test_bodies_of_another_length(void **state ATTR_UNUSED)
{
	static const char *const stacks[] = { "", "gzip" };
	email_message *message;
	struct spool *spool;
	char path[512], length[32];
	message_id id;
	size_t i;
	int more;

	(void)snprintf(length, sizeof(length), "%zu", sizeof(wire) - 1);
	for (i = 0; i < N_ELEMENTS(stacks); i++) {
		for (more = -1; more <= 1; more += 2) {
			spool = test_spool_new(stacks[i]);
			assert_int_equal(test_spool_put(spool, wire,
							sizeof(wire) - 1, &id),
					 IO_DONE);
			assert_int_equal(spool_get(spool, &id, &message),
					 IO_DONE);
			message->body_len += (uint64_t)more;
			/* as if the store had said so */
			email_message_set_store_note(
				message, email_message_get_store_note(message));
			assert_int_equal(spool_writeheaders(spool,
							    IO_SYNCHRONOUS,
							    message, 0),
					 IO_DONE);
			email_message_unref(&message);
			must_see(spool, 0, EBADMSG, "another length");
			/* the line alone: the record knows it better */
			test_spool_file(&id, ".h", path);
			test_spool_replace_word(path, 3, length, "\n");
			must_see(spool, 0, EBADMSG, "differ");
			spool_close(&spool);
			spool = test_spool_open(SPOOL_OPEN_REPAIR);
			assert_int_equal(test_spool_scan(spool), 1);
			must_see(spool, 0, EBADMSG, "differ");
			spool_close(&spool);
		}
	}
}

/* The next so many that are looked at and whose names end so cannot be. */
static const char *unseen;
static unsigned int unseen_count;

static int blind_fstatat(int dir_fd, const char *path, struct stat *st,
			 int flags)
{
	size_t size = strlen(path), end = strlen(unseen);

	if (unseen_count == 0 || size < end ||
	    strcmp(path + size - end, unseen) != 0)
		return file_ops_system.fstatat(dir_fd, path, st, flags);
	unseen_count--;
	errno = EIO;
	return -1;
}

/* What cannot be read now is no damage: neither of a first body nor of a later one. */
static void test_what_cannot_be_read_now(void **state ATTR_UNUSED)
{
	static const enum test_op ops[] = { TEST_OP_OPEN, TEST_OP_READ };
	static const char more[] = "Subject: more\r\n\r\n.\r\n";
	struct spool *spool = test_spool_new("gzip");
	struct file_ops blind = file_ops_system;
	unsigned int n, hit, round;
	email_message *message;
	struct seen seen;
	message_id id;
	char *error;
	size_t i;
	int ret;

	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	blind.fstatat = blind_fstatat;
	unseen = ".b";
	for (round = 0; round < 2; round++) {
		file_ops_set(&blind);
		unseen_count = 1;
		memset(&seen, 0, sizeof(seen));
		assert_int_equal(spool_list(spool, see_entry, &seen, &error),
				 0);
		assert_int_equal(seen.error, EIO);
		assert_int_equal(unseen_count, 0);
		file_ops_set(NULL);
		for (i = 0; i < N_ELEMENTS(ops); i++) {
			TEST_EACH_CALL(n, hit) {
				memset(&seen, 0, sizeof(seen));
				test_faults_begin();
				test_faults.fail_at[ops[i]] = n;
				test_faults.fail_errno[ops[i]] = EIO;
				ret = spool_verify(spool, see_entry, &seen,
						   &error);
				hit = test_faults.calls[ops[i]];
				test_faults_end();
				if (ret < 0)
					free(error);
				else if (n <= hit)
					assert_int_equal(seen.error, EIO);
				test_faults_begin();
				test_faults.fail_at[ops[i]] = n;
				test_faults.fail_errno[ops[i]] = EIO;
				ret = test_spool_read(spool, &id, 0, NULL);
				assert_true(ret == 0 || ret == EIO);
				test_faults_end();
			}
		}
		assert_int_equal(spool_get(spool, &id, &message), IO_DONE);
		test_spool_set_body(message, more, sizeof(more) - 1);
		assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, message,
						 0),
				 IO_DONE);
		assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS,
						    message, 0),
				 IO_DONE);
		email_message_unref(&message);
	}
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
	test_spool_count_strays(spool, &strays);
	assert_int_equal(strays.quarantined, 0);
	assert_int_equal(test_spool_scan(spool), 0);
	test_spool_count_strays(spool, &strays);
	assert_int_equal(strays.quarantined, 1);
	spool_close(&spool);
}

/* A key that does not fit says nothing about the message. */
static void test_verify_with_another_key(void **state ATTR_UNUSED)
{
	struct stream_context keys = test_spool_other_keys();
	char stack[600], path[512], *error;
	struct spool *spool;
	message_id id;

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
		cmocka_unit_test(test_a_line_of_another_message),
		cmocka_unit_test(test_lines_without_sense),
		cmocka_unit_test(test_bodies_of_another_length),
		cmocka_unit_test(test_what_cannot_be_read_now),
		cmocka_unit_test(test_headers_without_their_body),
		cmocka_unit_test(test_verify_with_another_key),
	};

	return cmocka_run_group_tests_name("module-file-problems", tests,
					   test_spool_setup,
					   test_spool_teardown);
}
