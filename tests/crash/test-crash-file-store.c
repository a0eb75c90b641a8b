/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The file store through every power cut: what was acknowledged is there, byte for
   byte; what was removed stays away; the rest is whole or absent. And the same with
   one sync left out, for each: then the exploration must find a state that breaks
   it, or that sync would be there for nothing. */

#include "config.h"
#include "crash-model.h"
#include "istream.h"
#include "spool.h"
#include "test-common.h"

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#define MESSAGES 4

static message_id ids[MESSAGES];
static char bodies[MESSAGES][64], changed[MESSAGES][64];
static char wrong[256];

/* Events: message i was stored, is about to be removed, was removed, was
   rewritten. */
enum {
	STORED = 100,
	REMOVING = 200,
	REMOVED = 300,
	REWRITTEN = 400
};
/* Whose second version has another body. */
#define CHANGED 2

static void set_body(email_message *message, const char *text)
{
	struct istream *input = i_stream_create_from_data(text, strlen(text));

	email_message_set_body(message, input, 0);
	i_stream_unref(&input);
}

static void put_message(struct spool *spool, unsigned int i)
{
	email_message *message;

	(void)snprintf(bodies[i], sizeof(bodies[i]),
		       "Subject: number %u\r\n\r\nbody\r\n.\r\n", i);
	spool_new_id(spool, &ids[i]);
	message = email_message_new(&ids[i]);
	set_body(message, bodies[i]);
	assert_int_equal(spool_put(spool, message), IO_DONE);
	crash_record_event(STORED + (int)i);
	email_message_unref(&message);
}

static void rewrite_message(struct spool *spool, unsigned int i)
{
	email_message *message;

	assert_int_equal(spool_get(spool, &ids[i], &message), IO_DONE);
	assert_int_equal(email_message_set_value(message, "x", "y", "z"), 0);
	if (i == CHANGED) {
		(void)snprintf(changed[i], sizeof(changed[i]),
			       "Subject: not %u\r\n\r\nother body\r\n.\r\n", i);
		set_body(message, changed[i]);
		assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, message,
						 0),
				 IO_DONE);
	}
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	crash_record_event(REWRITTEN + (int)i);
	email_message_unref(&message);
}

static void remove_message(struct spool *spool, unsigned int i)
{
	crash_record_event(REMOVING + (int)i);
	assert_int_equal(spool_remove(spool, &ids[i]), IO_DONE);
	crash_record_event(REMOVED + (int)i);
}

static void workload(const char *dir, const char *stack, enum crash_sync sync)
{
	struct spool_settings settings = { stack, NULL, NULL };
	struct spool *spool;
	char *error;

	test_remove_tree(dir);
	if (spool_init(dir, &settings, &error) < 0)
		fail_msg("%s", error);
	crash_forget();
	crash_leave_out(sync);
	crash_record_begin(dir);
	spool = spool_open(dir, 0, NULL, &error);
	assert_non_null(spool);
	put_message(spool, 0);
	put_message(spool, 1);
	rewrite_message(spool, 0);
	put_message(spool, 2);
	rewrite_message(spool, CHANGED);
	remove_message(spool, 1);
	put_message(spool, 3);
	remove_message(spool, 0);
	remove_message(spool, CHANGED);
	spool_close(&spool);
	crash_record_end();
}

static const char *problem(const char *what, unsigned int i)
{
	(void)snprintf(wrong, sizeof(wrong), "%s: message %u: %s", what, i,
		       io_get_error());
	return wrong;
}

static bool happened(const int *events, size_t count, int event)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (events[i] == event)
			return true;
	}
	return false;
}

/* 1: there and whole; 0: absent; -1: there in part. */
static int look(struct spool *spool, unsigned int i, uint64_t *version_r)
{
	const unsigned char *data;
	email_message *message;
	const char *body;
	size_t size;
	int ret = -1;

	if (spool_get(spool, &ids[i], &message) != IO_DONE)
		return strstr(io_get_error(), "there is no message") != NULL ?
			0 :
			-1;
	*version_r = email_message_get_version(message);
	body = i == CHANGED && *version_r > 1 ? changed[i] : bodies[i];
	if (i_stream_read_bytes(message->body, &data, &size, strlen(body)) ==
		    1 &&
	    size == strlen(body) && memcmp(data, body, size) == 0)
		ret = 1;
	email_message_unref(&message);
	return ret;
}

static void found(const message_id *id, void *context)
{
	unsigned int *counts = context, i;

	for (i = 0; i < MESSAGES; i++) {
		if (message_id_cmp(id, &ids[i]) == 0)
			counts[i]++;
	}
}

static const char *check_messages(struct spool *spool, const int *events,
				  size_t count, const unsigned int *handed_out)
{
	uint64_t version = 0;
	unsigned int i;
	int state;

	for (i = 0; i < MESSAGES; i++) {
		state = look(spool, i, &version);
		if (state < 0)
			return problem("there in part", i);
		if (handed_out[i] != (state > 0 ? 1u : 0u))
			return problem("handed out wrongly by the scan", i);
		if (happened(events, count, REMOVED + (int)i)) {
			if (state > 0)
				return problem("came back", i);
			continue;
		}
		if (happened(events, count, STORED + (int)i) && state == 0 &&
		    !happened(events, count, REMOVING + (int)i))
			return problem("lost", i);
		if (state > 0 && happened(events, count, REWRITTEN + (int)i) &&
		    version < 2)
			return problem("lost its rewrite", i);
	}
	return NULL;
}

static bool dir_is_empty(const char *parent, const char *name)
{
	struct dirent *entry;
	bool empty = true;
	char path[600];
	DIR *dir;

	(void)snprintf(path, sizeof(path), "%s/%s", parent, name);
	dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] != '.')
			empty = false;
	}
	(void)closedir(dir);
	return empty;
}

static const char *check_state(const char *dir, const int *events, size_t count,
			       void *context)
{
	unsigned int handed_out[MESSAGES] = { 0 }, again[MESSAGES] = { 0 };
	const char *result;
	struct spool *spool;
	char *error;

	(void)context;
	spool = spool_open(dir, 0, NULL, &error);
	if (spool == NULL) {
		(void)snprintf(wrong, sizeof(wrong), "cannot be opened: %s",
			       error);
		free(error);
		return wrong;
	}
	spool_start_scan(spool, found, NULL, handed_out);
	spool_wait_scan(spool);
	result = check_messages(spool, events, count, handed_out);
	/* recovery is idempotent */
	if (result == NULL) {
		spool_start_scan(spool, found, NULL, again);
		spool_wait_scan(spool);
		if (memcmp(handed_out, again, sizeof(again)) != 0)
			result = "a second scan gives another set";
	}
	spool_close(&spool);
	/* bodies come before headers, and headers are whole: nothing ever has
	   to be put aside after a mere power cut */
	if (result == NULL && !dir_is_empty(dir, "quarantine"))
		result = "something was put aside";
	return result;
}

static unsigned int states_per_moment(void)
{
	const char *text = getenv("CRASH_STATES");

	return text != NULL ? (unsigned int)atoi(text) : 12 / TEST_STEP;
}

static void test_every_power_cut(void **state ATTR_UNUSED)
{
	static const char *const stacks[] = { "", "gzip" };
	const char *result;
	size_t states, i;

	for (i = 0; i < N_ELEMENTS(stacks); i++) {
		workload(test_path("work"), stacks[i], CRASH_SYNC_NONE);
		result = crash_explore(test_path("state"), states_per_moment(),
				       check_state, NULL, &states);
		printf("%zu operations, %zu states\n", crash_operation_count(),
		       states);
		if (result != NULL)
			fail_msg("%s", result);
		assert_true(states > 300 / TEST_STEP);
	}
	crash_forget();
}

/* Each mutant must be noticed. */
static void ATTR_UNUSED test_every_sync_is_needed(void **state ATTR_UNUSED)
{
	static const struct {
		enum crash_sync sync;
		const char *name;
	} mutants[] = {
		{ CRASH_SYNC_BUCKET_NAME, "the new bucket's name" },
		{ CRASH_SYNC_BODY_DATA, "the body's data" },
		{ CRASH_SYNC_BODY_NAME, "the body's name" },
		{ CRASH_SYNC_HEADERS_DATA, "the headers' data" },
		{ CRASH_SYNC_HEADERS_NAME, "the headers' name" },
		{ CRASH_SYNC_UNLINK_NAME, "the removal of the headers" },
	};
	const char *result;
	size_t states, i;

	for (i = 0; i < N_ELEMENTS(mutants); i++) {
		workload(test_path("work"), "", mutants[i].sync);
		/* the workload does meet it */
		assert_true(crash_sync_count(mutants[i].sync) > 0);
		result = crash_explore(test_path("state"), 40, check_state,
				       NULL, &states);
		if (result == NULL)
			fail_msg("without the sync of %s nothing breaks",
				 mutants[i].name);
		printf("without the sync of %s: %s\n", mutants[i].name, result);
	}
	crash_forget();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_power_cut),
#if TEST_STEP == 1
		cmocka_unit_test(test_every_sync_is_needed),
#endif
	};

	/* thousands of small trees are made and removed: in memory, if it is
	   there */
	if (access("/dev/shm", W_OK) == 0)
		(void)setenv("TMPDIR", "/dev/shm", 0);
	return cmocka_run_group_tests_name("crash-file-store", tests, NULL,
					   NULL);
}
