/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Spools as they are made: with whose keys and rights, and what is durable then, or left. */

#include "config.h"
#include "age-keys.h"
#include "file-ops.h"
#include "spool-private.h"
#include "test-spool-common.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* 11: a refused or broken init leaves what was there. */
static void test_init_that_fails(void **state ATTR_UNUSED)
{
	static const enum test_op ops[] = {
		TEST_OP_MKDIR,     TEST_OP_OPEN,      TEST_OP_WRITE,
		TEST_OP_FDATASYNC, TEST_OP_FSYNC_DIR, TEST_OP_LINK,
		TEST_OP_READDIR,   TEST_OP_OPENDIR
	};
	char stack[600], path[512], *error;
	struct spool_settings settings = { .body = stack };
	unsigned int n, hit;
	struct stat st;
	size_t i;
	int ret, had;

	(void)snprintf(stack, sizeof(stack), "age:recipients=%s",
		       test_path("public"));
	(void)snprintf(path, sizeof(path), "%s", test_path("broken"));
	for (i = 0; i < N_ELEMENTS(ops) * 2; i++) {
		had = i % 2; /* whether the directory was there before */
		TEST_EACH_CALL(n, hit) {
			if (had)
				assert_int_equal(mkdir(path, 0700), 0);
			test_faults_begin();
			test_faults.fail_at[ops[i / 2]] = n;
			test_faults.fail_errno[ops[i / 2]] = ENOSPC;
			ret = spool_init(path, &settings, &error);
			hit = test_faults.calls[ops[i / 2]];
			test_faults_end();
			if (ret == 0) {
				assert_int_equal(test_command("rm -r %s", path),
						 0);
				continue;
			}
			assert_int_equal(errno, ENOSPC);
			/* it is known where, or the file of keys is named */
			assert_non_null(strstr(error, test_dir()));
			free(error);
			assert_int_equal(stat(path, &st) == 0, had);
			if (had && rmdir(path) < 0)
				fail_msg("%u, call %u: not empty",
					 (unsigned int)ops[i / 2], n);
		}
	}
}

/* A pipe in which a file is, as descriptor 100. */
#define PIPE_FD 100
#define PIPE_KEYS "age:recipients=/dev/fd/100"
static void open_pipe_with(const char *path)
{
	buffer_t *file = test_read_file(path);
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], file->data, file->used), file->used);
	assert_int_equal(dup2(fds[0], PIPE_FD), PIPE_FD);
	(void)close(fds[0]);
	(void)close(fds[1]);
	buffer_free(&file);
}

/* They are those of the stacks, whose files are read once, or of the settings. */
static void test_keys_of_a_new_spool(void **state ATTR_UNUSED)
{
	static const struct {
		const char *body, *headers;
		bool given;
		int keys; /* then */
	} rows[] = {
		{ PIPE_KEYS, NULL, false, 1 },
		{ "gzip", PIPE_KEYS, false, 1 },
		{ PIPE_KEYS, "age", true, 2 },
		{ PIPE_KEYS, NULL, true, 1 },
		{ "gzip | age", NULL, true, 1 },
		{ "gzip", NULL, true, 0 },
	};
	char key[AGE_RECIPIENT_TEXT_SIZE], path[512], *error;
	struct age_recipients *set = age_recipients_new();
	size_t i;

	assert_int_equal(age_keygen(test_path("another"), key, &error), 0);
	assert_int_equal(age_recipients_add(set, key, &error), 0);
	(void)snprintf(path, sizeof(path), "%s", test_path("keys"));
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		struct spool_settings settings = { .body = rows[i].body,
						   .headers = rows[i].headers,
						   .recipients = rows[i].given ?
							   set :
							   NULL };

		open_pipe_with(test_path("public"));
		if (spool_init(path, &settings, &error) < 0)
			fail_msg("row %zu: %s", i, error);
		(void)close(PIPE_FD);
		assert_int_equal(
			test_command("test $(cat %s/recipients 2>/dev/null | "
				     "grep -c ^age1) = %d",
				     path, rows[i].keys),
			0);
		assert_int_equal(test_command("rm -r %s", path), 0);
	}
	age_recipients_unref(&set);
}

/* A directory that was there is for its owner alone then, or as it was where there is no
   spool; another's is not changed. */
static void test_init_of_a_directory_of_all(void **state ATTR_UNUSED)
{
	static const struct {
		enum test_op fails;
		bool made, of_another;
		unsigned int mode; /* then */
	} rows[] = {
		{ TEST_OP_COUNT, true, false, 0700 },
		{ TEST_OP_MKDIR, false, false, 0755 },
		{ TEST_OP_FCHMOD, false, false, 0755 },
		{ TEST_OP_FSTAT, false, false, 0755 },
		{ TEST_OP_COUNT, true, true, 0755 },
	};
	struct spool_settings settings = { .body = NULL };
	char path[512], *error;
	struct stat st;
	size_t i;

	(void)snprintf(path, sizeof(path), "%s", test_path("of-all"));
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		assert_int_equal(mkdir(path, 0755), 0);
		assert_int_equal(chmod(path, 0755), 0);
		if (rows[i].of_another && chown(path, 65534, 65534) < 0) {
			assert_int_equal(rmdir(path), 0);
			continue; /* nobody but root can make one */
		}
		test_faults_begin();
		if (rows[i].fails != TEST_OP_COUNT) {
			/* the first one is of the directory itself */
			test_faults.fail_at[rows[i].fails] =
				rows[i].fails == TEST_OP_MKDIR ? 2 : 1;
			test_faults.fail_errno[rows[i].fails] = EIO;
		}
		assert_int_equal(spool_init(path, &settings, &error) == 0,
				 rows[i].made);
		test_faults_end();
		if (!rows[i].made) {
			assert_non_null(strstr(error, path));
			free(error);
		}
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, rows[i].mode);
		assert_int_equal(test_command("rm -r %s", path), 0);
	}
}

/* A new spool's directories are durable when it is there. */
static void test_init_syncs_its_directories(void **state ATTR_UNUSED)
{
	static const char *const names[] = { "", "/messages" };
	struct file_ops ops = file_ops_system;
	char path[600];
	size_t i;

	ops.fsync_dir = test_noting_fsync_dir;
	test_syncs_forget();
	file_ops_set(&ops);
	test_spool_init("");
	file_ops_set(NULL);
	for (i = 0; i < N_ELEMENTS(names); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", test_spool_dir(),
			       names[i]);
		if (!test_was_synced(path))
			fail_msg("not synced: %s", path);
	}
}

/* And so is its name, however its path is written. */
static void test_init_syncs_where_it_is(void **state ATTR_UNUSED)
{
	static const char *const names[] = { "in/one", "in/two/", "in/three//",
					     "in/four/." };
	struct spool_settings settings = { .store = "file" };
	struct file_ops ops = file_ops_system;
	char *error;
	size_t i;

	ops.fsync_dir = test_noting_fsync_dir;
	assert_int_equal(mkdir(test_path("in"), 0700), 0);
	assert_int_equal(mkdir(test_path("in/four"), 0700), 0);
	for (i = 0; i < N_ELEMENTS(names); i++) {
		test_syncs_forget();
		file_ops_set(&ops);
		if (spool_init(test_path(names[i]), &settings, &error) < 0)
			fail_msg("%s", error);
		file_ops_set(NULL);
		if (!test_was_synced(test_path("in")))
			fail_msg("not synced: what %s is in", names[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_init_that_fails),
		cmocka_unit_test(test_keys_of_a_new_spool),
		cmocka_unit_test(test_init_of_a_directory_of_all),
		cmocka_unit_test(test_init_syncs_its_directories),
		cmocka_unit_test(test_init_syncs_where_it_is),
	};

	return cmocka_run_group_tests_name(
		"spool-init", tests, test_spool_setup, test_spool_teardown);
}
