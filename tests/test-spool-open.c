/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Spools of either store as they are opened: with which settings, by how many, and what a
   child of fork() may do. */

#include "config.h"
#include "spool-private.h"
#include "test-spool-common.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char wire[] = TEST_SPOOL_WIRE;

/* Which may be relative to where a program was started. */
static void test_a_configuration_names_no_keys(void **state ATTR_UNUSED)
{
	static const char *const rows[] = {
		"body = gzip:3 | age:recipients=public",
		"headers = age:recipient=age1test",
		"body = age:identity=key",
		"body = age:identity=\"a, b | # c = d\"",
	};
	struct spool *spool;
	char *error;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		spool = test_spool_new_of(i == 0 ? "journal" : "file", "");
		spool_close(&spool);
		assert_int_equal(
			test_command("cd %s && cp %s recipients && "
				     "sed -i '/^body/d; /^headers/d' "
				     "spool.conf && KEY=$(tail -n 1 "
				     "recipients) && echo '%s' | "
				     "sed \"s/age1test/$KEY/\" >>spool.conf",
				     test_spool_dir(), test_path("public"),
				     rows[i]),
			0);
		spool = spool_open(test_spool_dir(), 0, NULL, &error);
		assert_null(spool);
		assert_int_equal(errno, EINVAL);
		if (strstr(error, "/recipients") == NULL ||
		    strstr(error,
			   i == 0         ? "\"body = gzip:3 | age\"" :
				   i == 1 ? "\"headers = age\"" :
					    "\"body = age\"") == NULL)
			fail_msg("%s", error);
		free(error);
		/* who reads does not look at it */
		spool = test_spool_open(SPOOL_OPEN_READ_ONLY);
		spool_close(&spool);
	}
}

/* Nothing is opened, where one of them may say how. */
static void test_unknown_flags(void **state ATTR_UNUSED)
{
	static const unsigned int flags[] = { SPOOL_OPEN_REPAIR << 1,
					      SPOOL_OPEN_READ_ONLY |
						      0x80000000u,
					      UINT_MAX };
	char *error;
	size_t i;

	test_spool_init(NULL);
	for (i = 0; i < N_ELEMENTS(flags); i++) {
		assert_null(
			spool_open(test_spool_dir(), flags[i], NULL, &error));
		assert_int_equal(errno, EINVAL);
		assert_non_null(strstr(error, "are not known"));
		free(error);
	}
}

static void test_one_owner(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new(""), *second;
	char *error;
	message_id id;

	second = spool_open(test_spool_dir(), 0, NULL, &error);
	assert_null(second);
	assert_int_equal(errno, EBUSY);
	/* whom another process is to wait for tool-spool.sh looks at */
	assert_non_null(strstr(error, "open in this process already"));
	free(error);
	/* looking is free */
	second = test_spool_open(SPOOL_OPEN_READ_ONLY);
	assert_int_equal(test_spool_put(second, wire, sizeof(wire) - 1, &id),
			 IO_FAIL);
	assert_int_equal(io_get_errno(), EROFS);
	spool_close(&second);
	spool_close(&spool);
	spool = test_spool_open(0);
	spool_close(&spool);
}

/* In a child: the errno of a put and of a removal that fail, as its exit status. */
static int change_in_child(struct spool *spool, const message_id *id)
{
	message_id other;

	if (test_spool_put(spool, wire, sizeof(wire) - 1, &other) != IO_FAIL ||
	    io_get_errno() != EPERM || spool_remove(spool, id) != IO_FAIL)
		return 0;
	return io_get_errno();
}

/* A child that fork() made changes nothing, and does not keep the spool from others. */
static void forks(const char *store)
{
	struct spool *spool = test_spool_new_of(store, "");
	int hold[2], status;
	message_id id;
	char *error, byte;
	pid_t pid;

	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	assert_int_equal(pipe(hold), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		status = change_in_child(spool, &id);
		(void)close(hold[1]);
		_exit(read(hold[0], &byte, 1) == 0 ? status : 0);
	}
	spool_close(&spool);
	spool = spool_open(test_spool_dir(), 0, NULL, &error);
	/* before anything may fail: the child lived until now */
	(void)close(hold[0]);
	(void)close(hold[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_non_null(spool);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EPERM);
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	spool_close(&spool);
}

static void test_a_fork_changes_nothing(void **state ATTR_UNUSED)
{
	forks("file");
	forks("journal");
}

static void note_done(void *context)
{
	*(bool *)context = true;
}

static void note_found(const message_id *id ATTR_UNUSED, void *context)
{
	*(bool *)context = false;
}

static void note_warning(const char *text, void *context)
{
	bool *told = context;

	*told = *told || strstr(text, "no scan") != NULL;
}

/* 0: all is as it should be; else the line. */
static int leave_in_child(struct spool *spool)
{
	bool done = false, told = false;
	uint64_t moved;
	char *error;

	/* what waits for a thread of the parent, or for a mutex that one has, waits for ever */
	(void)alarm(60);
	spool_set_warning_callback(spool, note_warning, &told);
	spool_start_scan(spool, note_found, note_done, &done);
	spool_wait_scan(spool);
	if (!done || !told)
		return 1;
	if (spool_compact(spool, &moved, &error) == 0 || errno != EPERM)
		return 2;
	free(error);
	spool_close(&spool);
	return spool == NULL ? 0 : 3;
}

/* The threads of a spool are not in a child, and what a close writes is its owner's. */
static void closes_in_child(const char *store)
{
	struct spool *spool = test_spool_new_of(store, "");
	message_id id;
	int status;
	pid_t pid;

	spool_close(&spool);
	assert_int_equal(test_command("cd %s && rm last-id && "
				      "sed -i '/^compaction/d' spool.conf",
				      test_spool_dir()),
			 0);
	spool = test_spool_open(0);
	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	/* as one has it that makes an id */
	(void)pthread_mutex_lock(&spool->mutex);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(leave_in_child(spool));
	(void)pthread_mutex_unlock(&spool->mutex);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(test_command("test -e %s/last-id", test_spool_dir()),
			 1);
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	spool_close(&spool);
	spool = test_spool_open(0);
	assert_int_equal(test_spool_scan(spool), 2);
	spool_close(&spool);
}

static void test_a_fork_closes(void **state ATTR_UNUSED)
{
	closes_in_child("file");
	closes_in_child("journal");
}

/* It is behind the last one also where that is read in parts, by a clock that was far
   ahead. */
static void test_the_last_id_in_parts(void **state ATTR_UNUSED)
{
	static const char last[] = "7yyyyyyyyyyyyyyyyyyyyyyyyy";
	struct spool *spool;
	message_id id, newer;
	char path[600];

	test_spool_init("");
	(void)snprintf(path, sizeof(path), "%s/last-id", test_spool_dir());
	test_write_file(path, last, sizeof(last) - 1);
	assert_true(message_id_from_text(last, &id));
	test_faults_begin();
	test_faults.max_read = 5;
	spool = test_spool_open(0);
	test_faults_end();
	spool_new_id(spool, &newer);
	assert_true(message_id_cmp(&newer, &id) > 0);
	spool_close(&spool);
}

/* Who is told of a message says so, and waits until he may go on. */
struct held {
	int told[2], go_on[2];
};

static void hold_scan(const message_id *id ATTR_UNUSED, void *context)
{
	const struct held *held = context;
	char byte = 0;

	assert_int_equal(write(held->told[1], &byte, 1), 1);
	assert_int_equal(read(held->go_on[0], &byte, 1), 1);
}

/* The scan of a reader is its parent's, too. */
static void test_a_fork_closes_beside_a_scan(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	struct held held;
	message_id id;
	char byte = 0;
	int status;
	pid_t pid;

	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	spool_close(&spool);
	assert_int_equal(pipe(held.told), 0);
	assert_int_equal(pipe(held.go_on), 0);
	spool = test_spool_open(SPOOL_OPEN_READ_ONLY);
	spool_start_scan(spool, hold_scan, NULL, &held);
	assert_int_equal(read(held.told[0], &byte, 1), 1);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)alarm(60);
		spool_wait_scan(spool);
		spool_close(&spool);
		_exit(spool == NULL ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(write(held.go_on[1], &byte, 1), 1);
	spool_close(&spool);
	(void)close(held.told[0]);
	(void)close(held.told[1]);
	(void)close(held.go_on[0]);
	(void)close(held.go_on[1]);
}

#define URL_4 "base64url | base64url | base64url | base64url"
#define URL_8 URL_4 " | " URL_4

static void test_settings_and_versions(void **state ATTR_UNUSED)
{
	static const struct {
		const char *body, *store, *error;
	} bad[] = {
		{ "zsdt", NULL, "no such kind" },
		{ "gzip | file:x", NULL, "an end of its own" },
		{ "age", NULL, "for whom" },
		{ "age:recipients=/nonexistent", NULL, "/nonexistent" },
		{ "", "jornal", "unknown store" },
		/* what a record says of its stack has an end */
		{ URL_8 " | " URL_8, NULL, "too long" },
	};
	char path[512], *error;
	struct spool *spool;
	struct stat st;
	size_t i;

	for (i = 0; i < N_ELEMENTS(bad); i++) {
		struct spool_settings settings = { .body = bad[i].body,
						   .store = bad[i].store };

		(void)snprintf(path, sizeof(path), "%s", test_path("refused"));
		assert_int_equal(spool_init(path, &settings, &error), -1);
		if (strstr(error, bad[i].error) == NULL)
			fail_msg("%s", error);
		free(error);
		/* nothing is left of it */
		assert_int_equal(stat(path, &st), -1);
	}
	test_spool_init("");
	(void)snprintf(path, sizeof(path), "%s/spool.conf", test_spool_dir());
	test_write_file(path, "version = 2\nstore = file\n", 25);
	spool = spool_open(test_spool_dir(), 0, NULL, &error);
	assert_null(spool);
	assert_int_equal(errno, ENOTSUP);
	assert_non_null(strstr(error, "newer version"));
	free(error);
	for (i = 0; i < 2; i++) {
		/* and the other way round */
		spool = test_spool_new_of(i == 0 ? "journal" : "file", "");
		spool_close(&spool);
		assert_int_equal(test_command("sed -i 's/^store = .*/store = "
					      "%s/' %s/spool.conf",
					      i == 0 ? "file" : "journal",
					      test_spool_dir()),
				 0);
		spool = spool_open(test_spool_dir(), 0, NULL, &error);
		assert_null(spool);
		assert_int_equal(errno, EINVAL);
		assert_non_null(strstr(error,
				       i == 0 ?
					       "made with \"store = journal\"" :
					       "made with \"store = file\""));
		free(error);
	}
	spool = spool_open(test_path("nowhere"), 0, NULL, &error);
	assert_null(spool);
	assert_int_equal(errno, ENOENT);
	free(error);
}

/* Nor does a configuration that somebody wrote by hand say more than records have room for. */
static void test_a_stack_that_is_too_long(void **state ATTR_UNUSED)
{
	static const char *const names[] = { "body", "headers" };
	struct spool *spool;
	char *error;
	size_t i;

	for (i = 0; i < N_ELEMENTS(names); i++) {
		spool = test_spool_new_of("journal", "");
		spool_close(&spool);
		assert_int_equal(
			test_command("cd %s && sed -i '/^%s/d' spool.conf && "
				     "echo '%s = %s' >>spool.conf",
				     test_spool_dir(), names[i], names[i],
				     URL_8 " | " URL_8),
			0);
		spool = spool_open(test_spool_dir(), 0, NULL, &error);
		assert_null(spool);
		assert_int_equal(errno, EINVAL);
		assert_non_null(strstr(error, "too long"));
		free(error);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_configuration_names_no_keys),
		cmocka_unit_test(test_unknown_flags),
		cmocka_unit_test(test_one_owner),
		cmocka_unit_test(test_a_fork_changes_nothing),
		cmocka_unit_test(test_the_last_id_in_parts),
		cmocka_unit_test(test_a_fork_closes),
		cmocka_unit_test(test_a_fork_closes_beside_a_scan),
		cmocka_unit_test(test_settings_and_versions),
		cmocka_unit_test(test_a_stack_that_is_too_long),
	};

	return cmocka_run_group_tests_name(
		"spool-open", tests, test_spool_setup, test_spool_teardown);
}
