/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The file store: what a scan puts aside, what it does where that cannot be, and what it
   leaves out. */

#include "config.h"
#include "age-keys.h"
#include "test-faults.h"
#include "test-spool-common.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char wire[] = TEST_SPOOL_WIRE;

/* One whose first line is damaged. */
static void put_damaged(struct spool *spool, message_id *id)
{
	char path[512];

	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, id),
			 IO_DONE);
	test_spool_file(id, ".h", path);
	assert_int_equal(truncate(path, 30), 0);
}

static void aside_path(const message_id *id, const char *suffix, char path[600])
{
	char text[MESSAGE_ID_TEXT_SIZE];

	message_id_to_text(id, text);
	(void)snprintf(path, 600, "%s/quarantine/%s%s", test_spool_dir(), text,
		       suffix);
}

static bool is_aside(const message_id *id, const char *suffix)
{
	char path[600];

	aside_path(id, suffix, path);
	return access(path, F_OK) == 0;
}

/* What is aside already stays what it is: somebody put a message back, which is damaged
   again. */
static void test_quarantine_replaces_nothing(void **state ATTR_UNUSED)
{
	static const char *const suffixes[] = { ".h", ".b" };
	struct spool *spool = test_spool_new("");
	struct spool_strays strays;
	char path[512], aside[600];
	buffer_t *kept;
	message_id id;
	size_t i;

	put_damaged(spool, &id);
	aside_path(&id, ".b", aside);
	test_write_file(aside, "before", 6);
	assert_int_equal(test_spool_scan(spool), 0);
	kept = test_read_file(aside);
	assert_int_equal(kept->used, 6);
	buffer_free(&kept);
	assert_true(is_aside(&id, ".h.1"));
	assert_true(is_aside(&id, ".h.1.why"));
	assert_true(is_aside(&id, ".b.1"));
	assert_false(is_aside(&id, ".h"));
	assert_int_equal(test_spool_count_files(&id), 0);
	for (i = 0; i < N_ELEMENTS(suffixes); i++) {
		test_spool_file(&id, suffixes[i], path);
		test_write_file(path, "again", 5);
	}
	assert_int_equal(test_spool_scan(spool), 0);
	assert_true(is_aside(&id, ".h.2"));
	assert_true(is_aside(&id, ".b.2"));
	assert_int_equal(test_spool_count_files(&id), 0);
	test_spool_count_strays(spool, &strays);
	assert_int_equal(strays.quarantined, 3);
	spool_close(&spool);
}

/* Nor does it take the place of the new reason, where it is an old one that was put back with
   the rest. */
static void test_quarantine_keeps_its_reason(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	char path[512], aside[600];
	buffer_t *kept;
	message_id id;

	put_damaged(spool, &id);
	test_spool_file(&id, ".h.why", path);
	test_write_file(path, "old", 3);
	assert_int_equal(test_spool_scan(spool), 0);
	assert_int_equal(test_spool_count_files(&id), 0);
	aside_path(&id, ".h.why.1", aside);
	kept = test_read_file(aside);
	assert_int_equal(kept->used, 3);
	buffer_free(&kept);
	assert_true(is_aside(&id, ".h.1"));
	assert_true(is_aside(&id, ".b.1"));
	assert_true(is_aside(&id, ".h.1.why"));
	spool_close(&spool);
}

static int forgetting_renameat2(int old_dir, const char *old_path, int new_dir,
				const char *new_path, unsigned int flags)
{
	test_syncs_forget();
	return file_ops_system.renameat2(old_dir, old_path, new_dir, new_path,
					 flags);
}

/* Where it is, and where it was: a crash brings it back into neither. */
static void test_what_is_put_aside_stays_aside(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	struct file_ops ops = file_ops_system;
	char path[512], aside[600];
	message_id id;

	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	test_spool_file(&id, ".h", path);
	assert_int_equal(truncate(path, 30), 0);
	ops.fsync_dir = test_noting_fsync_dir;
	ops.renameat2 = forgetting_renameat2;
	file_ops_set(&ops);
	assert_int_equal(test_spool_scan(spool), 0);
	file_ops_set(NULL);
	assert_int_equal(test_spool_count_files(&id), 0);
	*strrchr(path, '/') = '\0';
	assert_true(test_was_synced(path));
	(void)snprintf(aside, sizeof(aside), "%s/quarantine", test_spool_dir());
	assert_true(test_was_synced(aside));
	spool_close(&spool);
}

struct told {
	unsigned int aside, not_aside;
};

static void note_warning(const char *text, void *context)
{
	struct told *told = context;

	told->aside += strstr(text, "is put aside") != NULL;
	told->not_aside += strstr(text, "could not be put aside") != NULL &&
		strstr(text, strerror(EACCES)) != NULL;
}

/* Whatever fails: it is told, nothing is lost, and the next scan does it. */
static void test_what_cannot_be_put_aside(void **state ATTR_UNUSED)
{
	static const enum test_op ops[] = { TEST_OP_RENAME, TEST_OP_FSYNC_DIR,
					    TEST_OP_FSTAT, TEST_OP_OPENDIR };
	struct spool_undone undone;
	struct spool *spool;
	unsigned int n, hit;
	struct told told;
	message_id id;
	size_t i;

	for (i = 0; i < N_ELEMENTS(ops); i++) {
		TEST_EACH_CALL(n, hit) {
			spool = test_spool_new("");
			memset(&told, 0, sizeof(told));
			spool_set_warning_callback(spool, note_warning, &told);
			put_damaged(spool, &id);
			test_faults_begin();
			test_faults.fail_at[ops[i]] = n;
			test_faults.fail_errno[ops[i]] = EACCES;
			assert_int_equal(test_spool_scan(spool), 0);
			hit = test_faults.calls[ops[i]];
			test_faults_end();
			spool_get_undone(spool, &undone);
			assert_int_equal(told.not_aside, undone.unkept);
			assert_int_equal(undone.unkept_errno,
					 undone.unkept > 0 ? EACCES : 0);
			/* before it was known to be damaged it was left out */
			if (told.aside + told.not_aside + undone.left_out != 1)
				fail_msg("operation %zu, call %u", i, n);
			/* not all that is looked at matters, all changes do */
			if (i < 2 && told.aside != (hit < n))
				fail_msg("operation %zu, call %u", i, n);
			assert_int_equal(test_spool_scan(spool), 0);
			assert_int_equal(test_spool_count_files(&id), 0);
			assert_true(is_aside(&id, ".h"));
			assert_true(is_aside(&id, ".b"));
			assert_true(is_aside(&id, ".h.why"));
			spool_close(&spool);
		}
	}
}

/* It is told how many, and why. */
static void test_what_is_left_out(void **state ATTR_UNUSED)
{
	static const enum test_op ops[] = { TEST_OP_OPEN, TEST_OP_READ,
					    TEST_OP_READDIR };
	struct spool_undone undone;
	struct spool *spool;
	unsigned int n, hit, found;
	message_id id;
	size_t i;

	for (i = 0; i < N_ELEMENTS(ops); i++) {
		TEST_EACH_CALL(n, hit) {
			spool = test_spool_new("");
			assert_int_equal(test_spool_put(spool, wire,
							sizeof(wire) - 1, &id),
					 IO_DONE);
			spool_close(&spool);
			spool = test_spool_open(SPOOL_OPEN_REPAIR);
			test_faults_begin();
			test_faults.fail_at[ops[i]] = n;
			test_faults.fail_errno[ops[i]] = EIO;
			found = test_spool_scan(spool);
			hit = test_faults.calls[ops[i]];
			test_faults_end();
			spool_get_undone(spool, &undone);
			assert_int_equal(undone.unkept, 0);
			assert_int_equal(undone.left_out_errno,
					 undone.left_out > 0 ? EIO : 0);
			if (found == 0 && undone.left_out == 0)
				fail_msg("operation %zu, call %u", i, n);
			spool_close(&spool);
		}
	}
}

/* Where no key fits, as where there is none, it is enough that the bytes are those that were
   written. */
static void test_a_repair_with_another_key(void **state ATTR_UNUSED)
{
	struct stream_context keys = test_spool_other_keys();
	struct spool_undone undone;
	struct spool *spool;
	char *error, stack[600], path[512];
	unsigned int damaged;
	message_id id;

	(void)snprintf(stack, sizeof(stack), "age:recipients=%s",
		       test_path("public"));
	spool = test_spool_new(stack);
	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	spool_close(&spool);
	for (damaged = 0; damaged < 2; damaged++) {
		test_spool_file(&id, ".h", path);
		if (damaged > 0)
			test_flip(path, 300);
		spool = spool_open(test_spool_dir(), SPOOL_OPEN_REPAIR, &keys,
				   &error);
		assert_non_null(spool);
		assert_int_equal(test_spool_scan(spool), 1 - damaged);
		spool_get_undone(spool, &undone);
		assert_int_equal(undone.left_out, 0);
		assert_int_equal(undone.unkept, 0);
		assert_int_equal(is_aside(&id, ".h"), damaged);
		spool_close(&spool);
	}
	age_identities_unref(&keys.identities);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quarantine_replaces_nothing),
		cmocka_unit_test(test_quarantine_keeps_its_reason),
		cmocka_unit_test(test_what_is_put_aside_stays_aside),
		cmocka_unit_test(test_what_cannot_be_put_aside),
		cmocka_unit_test(test_what_is_left_out),
		cmocka_unit_test(test_a_repair_with_another_key),
	};

	return cmocka_run_group_tests_name("module-file-aside", tests,
					   test_spool_setup,
					   test_spool_teardown);
}
