/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What is damaged in a journal, and could not be copied or moved into quarantine: it is
   told, and stays. */

#include "config.h"
#include "test-journal-common.h"
#include "test-spool-common.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* What has this in its name comes into no quarantine. */
static const char *refused;

static int refusing_renameat2(int old_dir_fd, const char *old_path,
			      int new_dir_fd, const char *new_path,
			      unsigned int flags)
{
	size_t size = strlen(new_path), refused_size = strlen(refused);

	if (size < refused_size ||
	    strcmp(new_path + size - refused_size, refused) != 0)
		return file_ops_system.renameat2(old_dir_fd, old_path,
						 new_dir_fd, new_path, flags);
	errno = EACCES;
	return -1;
}

static void refuse(const char *suffix)
{
	static struct file_ops ops;

	refused = suffix;
	ops = file_ops_system;
	ops.renameat2 = refusing_renameat2;
	file_ops_set(&ops);
}

/*
 * Bytes of a segment
 */

static unsigned int unkept;

static void count_unkept(void *context ATTR_UNUSED, int error)
{
	assert_int_equal(error, EACCES);
	unkept++;
}

static struct journal *open_counting(bool repair)
{
	struct journal_settings settings = { .repair = repair,
					     .unkept = count_unkept };

	unkept = 0;
	return test_journal_open_with(settings);
}

/* Three messages, and damage in the body of the second one. */
static void make_three(void)
{
	struct journal *journal = test_journal_new();
	unsigned int n;

	for (n = 1; n <= 3; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	journal_close(&journal);
	test_journal_flip(2 * JOURNAL_BLOCK_SIZE + JOURNAL_HEADER_SIZE + 8);
}

/* Whether the segment is written anew once nothing in it is a message's. */
static bool is_written_anew(struct journal *journal)
{
	buffer_t *before = test_read_file(test_journal_segment(1)), *after;
	unsigned int n = 100, i;
	bool changed;

	test_journal_drop_range(journal, 1, 2);
	test_journal_drop_range(journal, 3, 4);
	assert_int_equal(test_journal_store(journal, n - 1), 0);
	for (i = 0; i < 20; i++)
		test_journal_time_passes(journal, &n);
	after = test_read_file(test_journal_segment(1));
	changed = memcmp(before->data, after->data, JOURNAL_HEADER_SIZE) != 0;
	if (!changed)
		assert_memory_equal(
			(const char *)after->data + 2 * JOURNAL_BLOCK_SIZE,
			(const char *)before->data + 2 * JOURNAL_BLOCK_SIZE,
			JOURNAL_BLOCK_SIZE);
	buffer_free(&before);
	buffer_free(&after);
	return changed;
}

/* Those that have no copy are in their segment as long as that is so. */
static void test_bytes_without_a_copy_stay(void **state ATTR_UNUSED)
{
	static const char *const suffixes[] = { ".bytes", ".why" };
	struct journal *journal;
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(suffixes); i++) {
		make_three();
		refuse(suffixes[i]);
		journal = open_counting(false);
		file_ops_set(NULL);
		/* body and headers */
		assert_int_equal(unkept, 2);
		assert_int_equal(test_journal.warnings, 2);
		assert_false(is_written_anew(journal));
		journal_close(&journal);
		/* the next start can */
		journal = open_counting(false);
		assert_int_equal(unkept, 0);
		assert_int_equal(test_journal_must_keep_bytes(JOURNAL_ALIGN),
				 2);
		journal_close(&journal);
	}
}

/* With one it is a segment as others are. */
static void test_bytes_with_a_copy_go(void **state ATTR_UNUSED)
{
	struct journal *journal;

	make_three();
	journal = open_counting(false);
	assert_int_equal(unkept, 0);
	assert_true(is_written_anew(journal));
	journal_close(&journal);
}

/* What is only noted is noted by the next one. */
static void test_notes_that_cannot_be_written(void **state ATTR_UNUSED)
{
	struct journal *journal;
	unsigned int i, n;

	for (i = 0; i < 2; i++) {
		journal = test_journal_new();
		n = 1;
		assert_int_equal(test_journal_store(journal, 0), 0);
		test_journal_fill(journal, &n);
		test_journal_fill(journal, &n);
		journal_close(&journal);
		if (i == 0)
			assert_int_equal(unlink(test_journal_segment(2)), 0);
		else
			test_journal_cut(2, 2 * JOURNAL_BLOCK_SIZE);
		refuse(".why");
		journal = open_counting(true);
		file_ops_set(NULL);
		assert_true(unkept > 0);
		assert_int_equal(test_journal_files_in("quarantine"), 0);
		journal_close(&journal);
		journal = open_counting(true);
		assert_int_equal(unkept, 0);
		assert_true(test_journal_files_in("quarantine") > 0);
		journal_close(&journal);
	}
}

/*
 * Messages
 */

#define MESSAGES 40
#define BODY 8000

struct told {
	unsigned int taken_out, stays, states_stay, stray, stray_stays;
};

static void note_warning(const char *text, void *context)
{
	struct told *told = context;

	told->taken_out += strstr(text, "is taken out") != NULL;
	told->stray += strstr(text, "put aside into quarantine: ") != NULL &&
		strstr(text, "could not") == NULL;
	if (strstr(text, strerror(EACCES)) == NULL)
		return;
	told->stays += strstr(text, " stays: ") != NULL;
	told->states_stay += strstr(text, " stay: ") != NULL;
	told->stray_stays += strstr(text, "could not be put aside") != NULL;
}

/* Another byte of where the first segment has this text first. */
static void damage_text(const char *text)
{
	buffer_t *file = test_read_file(test_spool_segment(1));
	size_t i;

	for (i = 0;
	     memcmp((const char *)file->data + i, text, strlen(text)) != 0;)
		i++;
	buffer_free(&file);
	test_flip(test_spool_segment(1), i);
}

/* As many as fill the first segment, and are in the next one; the states of the recipients
   of the first one have changed. */
static message_id put_messages(void)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, BODY);
	struct spool *spool = test_spool_new_of("journal", "");
	email_message *message = test_spool_put_to(spool, MESSAGES);
	message_id first = message->message_id, id;
	unsigned int i;

	assert_int_equal(email_message_set_recipient_state(
				 message, 0, EMAIL_RECIPIENT_DELIVERED,
				 "250 a mark"),
			 0);
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	email_message_unref(&message);
	for (i = 1; i < MESSAGES; i++)
		assert_int_equal(test_spool_put(spool, data, BODY, &id),
				 IO_DONE);
	spool_close(&spool);
	free(data);
	return first;
}

/* How many are found. */
static unsigned int repair(struct told *told, struct spool_undone *undone)
{
	struct spool *spool = test_spool_open(SPOOL_OPEN_REPAIR);
	unsigned int found;

	memset(told, 0, sizeof(*told));
	spool_set_warning_callback(spool, note_warning, told);
	found = test_spool_scan(spool);
	spool_get_undone(spool, undone);
	spool_close(&spool);
	return found;
}

/* Under a footer nobody looks at a record again whose message is gone: so it is there as long
   as its damaged record has no copy. */
static void test_a_message_without_a_copy_stays(void **state ATTR_UNUSED)
{
	static const char *const suffixes[] = { ".bytes", ".body" };
	struct spool_undone undone;
	struct told told;
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(suffixes); i++) {
		(void)put_messages();
		damage_text("bobbin-message 1\nid ");
		refuse(suffixes[i]);
		assert_int_equal(repair(&told, &undone), MESSAGES - 1);
		file_ops_set(NULL);
		assert_int_equal(told.taken_out, 0);
		assert_int_equal(told.stays, 1);
		assert_true(undone.unkept > 0);
		assert_int_equal(undone.unkept_errno, EACCES);
		assert_int_equal(repair(&told, &undone), MESSAGES - 1);
		assert_int_equal(told.taken_out, 1);
		assert_int_equal(undone.unkept, 0);
		assert_int_equal(repair(&told, &undone), MESSAGES - 1);
		assert_int_equal(told.taken_out, 0);
	}
}

/* Nor are headers written anew over states that have none. */
static void test_states_without_a_copy_stay(void **state ATTR_UNUSED)
{
	struct spool_undone undone;
	struct told told;

	(void)put_messages();
	damage_text("%20a%20mark");
	refuse(".bytes");
	assert_int_equal(repair(&told, &undone), MESSAGES);
	file_ops_set(NULL);
	assert_int_equal(told.states_stay, 1);
	assert_true(undone.unkept > 0);
	assert_int_equal(repair(&told, &undone), MESSAGES);
	assert_int_equal(told.states_stay, 0);
	assert_int_equal(undone.unkept, 0);
	/* and that was all */
	assert_int_equal(test_spool_files_in("quarantine").count, 2);
}

/* A body in a file whose record is gone: it takes the place of none that is aside, and where
   it cannot be moved it is not said to be. */
static void test_a_body_that_cannot_be_put_aside(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	struct spool *spool = test_spool_new_of("journal", "");
	struct spool_undone undone;
	struct told told = { 0 };
	char aside[1200], body[1100];
	buffer_t *kept;
	message_id id;

	assert_int_equal(test_spool_put(spool, data, TEST_SPOOL_LARGE, &id),
			 IO_DONE);
	assert_int_equal(test_spool_put(spool, data, 100, &id), IO_DONE);
	spool_close(&spool);
	/* the record of the body that is in the file */
	test_flip(test_spool_segment(1), 4096 + 64 + 8);
	(void)snprintf(body, sizeof(body), "%s",
		       test_spool_files_in(TEST_SPOOL_BODIES).path);
	(void)snprintf(aside, sizeof(aside), "%s/quarantine%s",
		       test_spool_dir(), strrchr(body, '/'));
	test_write_file(aside, "before", 6);
	refuse(".b.1");
	spool = test_spool_open(0);
	file_ops_set(NULL);
	spool_set_warning_callback(spool, note_warning, &told);
	spool_get_undone(spool, &undone);
	spool_close(&spool);
	assert_int_equal(told.stray, 0);
	assert_int_equal(told.stray_stays, 1);
	assert_int_equal(undone.unkept, 1);
	assert_int_equal(access(body, F_OK), 0);
	spool = test_spool_open(0);
	spool_set_warning_callback(spool, note_warning, &told);
	spool_close(&spool);
	assert_int_equal(told.stray, 1);
	assert_int_equal(access(body, F_OK), -1);
	kept = test_read_file(aside);
	assert_int_equal(kept->used, 6);
	buffer_free(&kept);
	strcat(aside, ".1");
	kept = test_read_file(aside);
	assert_int_equal(kept->used, TEST_SPOOL_LARGE);
	buffer_free(&kept);
	strcat(aside, ".why");
	assert_int_equal(access(aside, F_OK), 0);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes_without_a_copy_stay),
		cmocka_unit_test(test_bytes_with_a_copy_go),
		cmocka_unit_test(test_notes_that_cannot_be_written),
		cmocka_unit_test(test_a_message_without_a_copy_stays),
		cmocka_unit_test(test_states_without_a_copy_stay),
		cmocka_unit_test(test_a_body_that_cannot_be_put_aside),
	};

	return cmocka_run_group_tests_name(
		"journal-unkept", tests, test_spool_setup, test_spool_teardown);
}
