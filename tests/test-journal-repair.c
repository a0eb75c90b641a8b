/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What repair makes of messages of which a record is damaged, behind a footer that says
   nothing of it. */

#include "config.h"
#include "buffer.h"
#include "macros.h"
#include "journal/journal-private.h"
#include "module-journal-private.h"
#include "spool-private.h"
#include "test-faults.h"
#include "test-spool-common.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* So many fill the first segment, and are in the next one. */
#define MESSAGES 40
#define FEW 12
#define BODY 8000

struct told {
	unsigned int taken_out, stays, unwritten;
};

static void note_warning(const char *text, void *context)
{
	struct told *told = context;

	if (strstr(text, "is taken out") != NULL)
		told->taken_out++;
	if (strstr(text, " stays: ") != NULL)
		told->stays++;
	if (strncmp(text, "message ", 8) == 0 &&
	    strstr(text, strerror(EIO)) != NULL)
		told->unwritten++;
}

/* Another byte of the first segment. */
static void damage(uint64_t offset)
{
	test_flip(test_spool_segment(1), offset);
}

/* Of where it has this text first. */
static void damage_text(const char *text)
{
	buffer_t *file;
	size_t i;

	file = test_read_file(test_spool_segment(1));
	for (i = 0;
	     memcmp((const char *)file->data + i, text, strlen(text)) != 0;)
		i++;
	buffer_free(&file);
	damage(i);
}

/* As many, closed; the first one. */
static void put_messages(message_id *first, const unsigned char *data)
{
	struct spool *spool = test_spool_new_of("journal", "");
	message_id id;
	unsigned int i;

	assert_int_equal(test_spool_put(spool, data, BODY, first), IO_DONE);
	for (i = 1; i < MESSAGES; i++)
		assert_int_equal(test_spool_put(spool, data, BODY, &id),
				 IO_DONE);
	spool_close(&spool);
}

static void new_damaged(message_id *first)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, BODY);

	put_messages(first, data);
	/* in the headers of the first one, which is in a full segment */
	damage_text("bobbin-message 1\nid ");
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
	struct told told = { 0 };
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

/* It does not look at all records, and changes none. */
static void test_a_reader_takes_nothing_out(void **state ATTR_UNUSED)
{
	struct told told = { 0 };
	struct spool *reader;
	unsigned int listed;
	message_id first;

	new_damaged(&first);
	reader = test_spool_open(SPOOL_OPEN_REPAIR | SPOOL_OPEN_READ_ONLY);
	spool_set_warning_callback(reader, note_warning, &told);
	assert_int_equal(test_spool_scan(reader), MESSAGES);
	spool_close(&reader);
	assert_int_equal(told.taken_out, 0);
	assert_int_equal(test_spool_files_in("quarantine").count, 0);
	assert_int_equal(repair(&told, &listed), MESSAGES - 1);
	assert_int_equal(told.taken_out, 1);
}

/* A full disk: as long as what is left of it has no other place it is where it was. */
static void test_what_cannot_be_kept_stays(void **state ATTR_UNUSED)
{
	struct told told = { 0 };
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

/*
 * States of recipients
 */

#define RECIPIENTS 40
#define MARK "250 a mark"

/* One of so many recipients of whom some were delivered later, and others behind it. */
static void put_with_states(message_id *id, unsigned int count)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, BODY);
	struct spool *spool = test_spool_new_of("journal", "");
	email_message *message;
	message_id other;
	unsigned int i;

	memset(data, 'x', 40);
	spool_new_id(spool, id);
	message = email_message_new(id);
	test_spool_set_body(message, data, BODY);
	for (i = 0; i < RECIPIENTS; i++)
		assert_int_equal(email_message_add_recipient(message, "a@b.c"),
				 0);
	assert_int_equal(spool_put(spool, message), IO_DONE);
	for (i = 0; i < 3; i++)
		assert_int_equal(email_message_set_recipient_state(
					 message, i, EMAIL_RECIPIENT_DELIVERED,
					 MARK),
				 0);
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	email_message_unref(&message);
	for (i = 1; i < count; i++)
		assert_int_equal(test_spool_put(spool, data, BODY, &other),
				 IO_DONE);
	spool_close(&spool);
	free(data);
}

static unsigned int delivered_of(struct spool *spool, const message_id *id,
				 uint64_t *version_r)
{
	email_message *message = email_message_new(id);
	unsigned int i, count = 0;

	assert_int_equal(spool_readheaders(spool, IO_SYNCHRONOUS, message),
			 IO_DONE);
	*version_r = email_message_get_version(message);
	for (i = 0; i < RECIPIENTS; i++)
		count += email_message_get_recipient_state(message, i, NULL) ==
			EMAIL_RECIPIENT_DELIVERED;
	email_message_unref(&message);
	return count;
}

/* Without them it is a message all the same, of which all recipients are to be tried. */
static void test_damaged_states_are_forgotten(void **state ATTR_UNUSED)
{
	struct told told = { 0 };
	unsigned int listed, total;
	struct spool *spool;
	uint64_t version;
	message_id id;

	put_with_states(&id, MESSAGES);
	spool = test_spool_open(0);
	assert_int_equal(delivered_of(spool, &id, &version), 3);
	assert_int_equal(version, 2);
	spool_close(&spool);
	damage_text("%20a%20mark");
	spool = test_spool_open(0);
	assert_int_equal(delivered_of(spool, &id, &version), 0);
	assert_int_equal(version, 2);
	assert_int_equal(test_spool_damaged(spool, &total), 1);
	spool_close(&spool);
	assert_int_equal(repair(&told, &listed), MESSAGES);
	assert_int_equal(listed, MESSAGES);
	assert_int_equal(told.taken_out, 0);
	spool = test_spool_open(0);
	assert_int_equal(test_spool_damaged(spool, &total), 0);
	assert_int_equal(delivered_of(spool, &id, &version), 0);
	assert_int_equal(version, 3);
	spool_close(&spool);
}

/* That they could not be is told, and the next repair does it. */
static void test_states_that_cannot_be_written(void **state ATTR_UNUSED)
{
	struct told told = { 0 };
	struct spool_undone undone;
	unsigned int listed, total;
	struct spool *spool;
	message_id id;

	put_with_states(&id, MESSAGES);
	damage_text("%20a%20mark");
	spool = test_spool_open(SPOOL_OPEN_REPAIR);
	spool_set_warning_callback(spool, note_warning, &told);
	test_faults_begin();
	/* behind the copy of what is damaged, and its reason */
	test_faults.fail_at[TEST_OP_FDATASYNC] = 3;
	test_faults.fail_errno[TEST_OP_FDATASYNC] = EIO;
	test_faults.fail_after = true;
	(void)test_spool_scan(spool);
	test_faults_end();
	assert_int_equal(told.unwritten, 1);
	spool_get_undone(spool, &undone);
	assert_int_equal(undone.unkept, 1);
	assert_int_equal(undone.unkept_errno, EIO);
	spool_close(&spool);
	assert_int_equal(repair(&told, &listed), MESSAGES);
	spool = test_spool_open(0);
	assert_int_equal(test_spool_damaged(spool, &total), 0);
	spool_close(&spool);
}

/* Nothing is written of what is whole. */
static void test_whole_states_stay(void **state ATTR_UNUSED)
{
	struct told told = { 0 };
	unsigned int listed;
	struct spool *spool;
	uint64_t version;
	message_id id;

	put_with_states(&id, FEW);
	assert_int_equal(repair(&told, &listed), FEW);
	spool = test_spool_open(0);
	assert_int_equal(delivered_of(spool, &id, &version), 3);
	assert_int_equal(version, 2);
	spool_close(&spool);
}

/* Who restores the message is to know whom it was delivered to. */
static void test_states_are_kept_with_the_headers(void **state ATTR_UNUSED)
{
	struct told told = { 0 };
	unsigned int listed;
	message_id id;

	put_with_states(&id, MESSAGES);
	damage_text("xxxxxxxxxxxxxxxxxxxx");
	assert_int_equal(repair(&told, &listed), MESSAGES - 1);
	assert_int_equal(told.taken_out, 1);
	assert_true(is_kept(&id, ".headers"));
	assert_true(is_kept(&id, ".states"));
}

/* Whatever call of a repair fails: what was taken out is kept, with its states, or it is
   still there. */
static void test_nothing_is_taken_out_unkept(void **state ATTR_UNUSED)
{
	static const enum test_op ops[] = { TEST_OP_READ, TEST_OP_RENAME };
	struct told told = { 0 };
	unsigned int listed, n, hit;
	struct spool *spool;
	message_id id;
	size_t i;

	for (i = 0; i < N_ELEMENTS(ops); i++) {
		TEST_EACH_CALL(n, hit) {
			put_with_states(&id, FEW);
			damage_text("xxxxxxxxxxxxxxxxxxxx");
			spool = test_spool_open(SPOOL_OPEN_REPAIR);
			test_faults_begin();
			test_faults.fail_at[ops[i]] = n;
			test_faults.fail_errno[ops[i]] = EIO;
			(void)test_spool_scan(spool);
			hit = test_faults.calls[ops[i]];
			test_faults_end();
			(void)test_spool_damaged(spool, &listed);
			spool_close(&spool);
			if (listed == FEW - 1 &&
			    (!is_kept(&id, ".headers") ||
			     !is_kept(&id, ".states")))
				fail_msg("operation %zu, call %u", i, n);
			/* the next repair can */
			(void)repair(&told, &listed);
			assert_int_equal(listed, FEW - 1);
			assert_true(is_kept(&id, ".headers"));
			assert_true(is_kept(&id, ".states"));
		}
	}
}

/* What is kept is what was stored, without the name of the stack that is before it. */
static void test_what_is_kept_is_what_was_stored(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, BODY);
	struct spool *spool = test_spool_new_of("journal", "hex");
	char path[700], text[MESSAGE_ID_TEXT_SIZE];
	struct told told = { 0 };
	unsigned int i, listed;
	message_id id, other;
	buffer_t *kept;

	assert_int_equal(test_spool_put(spool, data, BODY, &id), IO_DONE);
	for (i = 1; i < MESSAGES; i++)
		assert_int_equal(test_spool_put(spool, data, BODY, &other),
				 IO_DONE);
	spool_close(&spool);
	/* "bobbin-message" */
	damage_text("626f6262696e2d6d657373616765");
	assert_int_equal(repair(&told, &listed), MESSAGES - 1);
	message_id_to_text(&id, text);
	(void)snprintf(path, sizeof(path), "%s/quarantine/%s.body",
		       test_spool_dir(), text);
	kept = test_read_file(path);
	assert_int_equal(kept->used, 2 * BODY);
	for (i = 0; i < kept->used; i++)
		assert_non_null(strchr("0123456789abcdef",
				       ((const char *)kept->data)[i]));
	buffer_free(&kept);
	free(data);
}

/* The body, somewhere behind a record's header. */
static void must_have_behind(const char *path, size_t at,
			     const unsigned char *body)
{
	buffer_t *file = test_read_file(path);
	const unsigned char *bytes = file->data;

	/* the name of its stack is before it */
	while (at + BODY < file->used && bytes[at] != body[0])
		at++;
	assert_true(at + BODY <= file->used);
	assert_memory_equal(bytes + at, body, BODY);
	buffer_free(&file);
}

/* A damaged header says nothing of what is behind it, which may be whole: all of that is
   kept. */
static void test_what_is_behind_a_damaged_header(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, BODY);
	struct told told = { 0 };
	unsigned int listed;
	message_id first;

	put_messages(&first, data);
	/* that of the first record, a body */
	damage(4096 + 10);
	assert_int_equal(repair(&told, &listed), MESSAGES - 1);
	assert_int_equal(told.taken_out, 1);
	assert_true(is_kept(&first, ".headers"));
	assert_int_equal(test_command("cat %s/quarantine/journal-*.bytes >%s",
				      test_spool_dir(), test_path("kept")),
			 0);
	must_have_behind(test_path("kept"), 64, data);
	free(data);
}

/*
 * Beside who writes the same message
 */

/* Another thread, which begins at a chosen read or sync of the repair, and has ended, or waits
   for the message, before that goes on. */
static struct {
	struct spool *spool;
	message_id id;
	email_message
		*message; /* as it was before; NULL: another takes its place */
	pthread_t repair, thread;
	unsigned int at, calls;
	atomic_bool ended;
	int answer;
} writer;

#define OTHER "another one\r\n"

static void *write_it(void *context ATTR_UNUSED)
{
	if (writer.message != NULL)
		writer.answer =
			test_spool_write_headers(writer.spool, writer.message);
	else if (spool_remove(writer.spool, &writer.id) == IO_DONE)
		writer.answer = test_spool_put_as(writer.spool, OTHER,
						  strlen(OTHER), &writer.id);
	writer.ended = true;
	return NULL;
}

static void come_between(void)
{
	struct journal *journal = journal_store(writer.spool->store)->journal;

	if (!pthread_equal(pthread_self(), writer.repair) ||
	    ++writer.calls != writer.at)
		return;
	assert_int_equal(pthread_create(&writer.thread, NULL, write_it, NULL),
			 0);
	while (!writer.ended &&
	       journal_index_waiting(&journal->index, &writer.id) == 0)
		(void)sched_yield();
}

static ssize_t interrupted_pread(int fd, void *data, size_t size, off_t offset)
{
	come_between();
	return file_ops_system.pread(fd, data, size, offset);
}

static int interrupted_fdatasync(int fd)
{
	come_between();
	return file_ops_system.fdatasync(fd);
}

/* False: it made fewer calls. */
static bool repair_beside_writer(struct spool *spool, const message_id *id,
				 unsigned int at)
{
	struct file_ops ops = file_ops_system;

	writer.spool = spool;
	writer.id = *id;
	writer.repair = pthread_self();
	writer.at = at;
	writer.calls = 0;
	writer.ended = false;
	ops.pread = interrupted_pread;
	ops.fdatasync = interrupted_fdatasync;
	file_ops_set(&ops);
	(void)journal_repair_message(journal_store(spool->store), id);
	if (writer.calls >= at)
		assert_int_equal(pthread_join(writer.thread, NULL), 0);
	file_ops_set(NULL);
	return writer.calls >= at;
}

static const struct beside {
	bool anew;           /* else its headers change */
	size_t size;         /* of its body; 0: it has states of recipients */
	const char *damaged; /* what has this text */
} besides[] = {
	{ true, BODY, "bobbin-message 1\nid " },
	/* in a file, which repair moves */
	{ false, TEST_SPOOL_LARGE, "bobbin-message 1\nid " },
	{ false, 0, "%20a%20mark" },
};

/* An open spool with the message, as it was before that is damaged. */
static struct spool *new_beside(const struct beside *beside,
				const unsigned char *data, message_id *id)
{
	struct spool *spool;

	if (beside->size == 0) {
		put_with_states(id, 1);
		spool = test_spool_open(0);
	} else {
		spool = test_spool_new_of("journal", "");
		assert_int_equal(test_spool_put(spool, data, beside->size, id),
				 IO_DONE);
	}
	writer.message = NULL;
	if (!beside->anew)
		assert_int_equal(spool_get(spool, id, &writer.message),
				 IO_DONE);
	damage_text(beside->damaged);
	return spool;
}

/* Who was told that it is there has it. */
static void must_be_as_told(struct spool *spool, const struct beside *beside,
			    const message_id *id, const unsigned char *data)
{
	struct spool_undone undone;
	unsigned int total;

	if (beside->anew)
		test_spool_must_have(spool, id, OTHER, strlen(OTHER));
	else if (beside->size > 0)
		test_spool_must_have(spool, id, data, beside->size);
	assert_int_equal(test_spool_damaged(spool, &total), 0);
	spool_get_undone(spool, &undone);
	assert_int_equal(undone.unkept, 0);
}

/* Whenever that comes: a repair ends what it has looked at, and nothing else. */
static void test_what_is_written_anew_meanwhile_stays(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	const struct beside *beside = besides;
	struct spool *spool;
	unsigned int at;
	message_id id;
	bool came;

	for (; beside < besides + N_ELEMENTS(besides); beside++) {
		for (at = 1, came = true; came; at++) {
			spool = new_beside(beside, data, &id);
			came = repair_beside_writer(spool, &id, at);
			if (came &&
			    (beside->anew || beside->size == 0 ||
			     writer.answer == IO_DONE))
				must_be_as_told(spool, beside, &id, data);
			email_message_unref(&writer.message);
			spool_close(&spool);
		}
		assert_true(at > 5);
	}
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_damaged_message_is_taken_out),
		cmocka_unit_test(test_a_reader_takes_nothing_out),
		cmocka_unit_test(test_what_cannot_be_kept_stays),
		cmocka_unit_test(test_damaged_states_are_forgotten),
		cmocka_unit_test(test_states_that_cannot_be_written),
		cmocka_unit_test(test_whole_states_stay),
		cmocka_unit_test(test_states_are_kept_with_the_headers),
		cmocka_unit_test(test_nothing_is_taken_out_unkept),
		cmocka_unit_test(test_what_is_kept_is_what_was_stored),
		cmocka_unit_test(test_what_is_behind_a_damaged_header),
		cmocka_unit_test(test_what_is_written_anew_meanwhile_stays),
	};

	return cmocka_run_group_tests_name(
		"journal-repair", tests, test_spool_setup, test_spool_teardown);
}
