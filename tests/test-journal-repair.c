/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What repair makes of messages of which a record is damaged, behind a footer that says
   nothing of it. */

#include "config.h"
#include "buffer.h"
#include "test-faults.h"
#include "test-spool-common.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* So many fill the first segment, and are in the next one. */
#define MESSAGES 40
#define BODY 8000

struct told {
	unsigned int taken_out, stays;
};

static void note_warning(const char *text, void *context)
{
	struct told *told = context;

	if (strstr(text, "is taken out") != NULL)
		told->taken_out++;
	if (strstr(text, " stays: ") != NULL)
		told->stays++;
}

/* Another byte in the headers of the first message, which is in a full segment. */
static void damage_first(void)
{
	static const char magic[] = "bobbin-message 1\nid ";
	buffer_t *file;
	char path[600];
	size_t i;

	(void)snprintf(path, sizeof(path), "%s/journal/00000001.seg",
		       test_spool_dir());
	file = test_read_file(path);
	for (i = 0; memcmp((const char *)file->data + i, magic,
			   sizeof(magic) - 1) != 0;)
		i++;
	buffer_write(file, i, "B", 1);
	test_write_file(path, file->data, file->used);
	buffer_free(&file);
}

static void new_damaged(message_id *first)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, BODY);
	struct spool *spool = test_spool_new_of("journal", "");
	message_id id;
	unsigned int i;

	assert_int_equal(test_spool_put(spool, data, BODY, first), IO_DONE);
	for (i = 1; i < MESSAGES; i++)
		assert_int_equal(test_spool_put(spool, data, BODY, &id),
				 IO_DONE);
	spool_close(&spool);
	damage_first();
	free(data);
}

/* How many are found, and listed behind that. */
static unsigned int repair(struct told *told, unsigned int *listed_r)
{
	struct spool *spool = test_spool_open(SPOOL_OPEN_REPAIR);
	unsigned int found;

	spool_set_warning_callback(spool, note_warning, told);
	found = test_spool_scan(spool);
	(void)test_spool_damaged(spool, listed_r);
	spool_close(&spool);
	return found;
}

static bool is_kept(const message_id *id, const char *suffix)
{
	char path[700], text[MESSAGE_ID_TEXT_SIZE];
	struct stat st;

	message_id_to_text(id, text);
	(void)snprintf(path, sizeof(path), "%s/quarantine/%s%s",
		       test_spool_dir(), text, suffix);
	return stat(path, &st) == 0 && st.st_size > 0;
}

static void test_a_damaged_message_is_taken_out(void **state ATTR_UNUSED)
{
	struct told told = { 0, 0 };
	unsigned int listed;
	message_id first;

	new_damaged(&first);
	assert_int_equal(repair(&told, &listed), MESSAGES - 1);
	assert_int_equal(listed, MESSAGES - 1);
	assert_int_equal(told.taken_out, 1);
	assert_int_equal(told.stays, 0);
	assert_true(is_kept(&first, ".body"));
	assert_true(is_kept(&first, ".body.why"));
	/* and that is all that there was to do */
	assert_int_equal(repair(&told, &listed), MESSAGES - 1);
	assert_int_equal(told.taken_out, 1);
}

/* A full disk: as long as what is left of it has no other place it is where it was. */
static void test_what_cannot_be_kept_stays(void **state ATTR_UNUSED)
{
	struct told told = { 0, 0 };
	unsigned int listed;
	message_id first;

	new_damaged(&first);
	test_faults_begin();
	test_faults.fail_at[TEST_OP_RENAME] = 1;
	test_faults.fail_errno[TEST_OP_RENAME] = ENOSPC;
	test_faults.fail_after = true;
	assert_int_equal(repair(&told, &listed), MESSAGES - 1);
	test_faults_end();
	assert_int_equal(listed, MESSAGES);
	assert_int_equal(told.stays, 1);
	assert_false(is_kept(&first, ".body"));
	assert_int_equal(repair(&told, &listed), MESSAGES - 1);
	assert_int_equal(listed, MESSAGES - 1);
	assert_int_equal(told.stays, 1);
	assert_true(is_kept(&first, ".body"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_damaged_message_is_taken_out),
		cmocka_unit_test(test_what_cannot_be_kept_stays),
	};

	return cmocka_run_group_tests_name(
		"journal-repair", tests, test_spool_setup, test_spool_teardown);
}
