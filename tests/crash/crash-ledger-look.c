/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What is there, and whether it may be. */

#include "config.h"
#include "crash-ledger-private.h"
#include "crash-spool.h"
#include "istream.h"
#include "test-common.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

unsigned int ledger_delivered(const email_message *message)
{
	unsigned int n = 0;

	while (n < email_message_recipient_count(message) &&
	       email_message_get_recipient_state(message, n, NULL) ==
		       EMAIL_RECIPIENT_DELIVERED)
		n++;
	return n;
}

static unsigned int states_of(const email_message *message)
{
	unsigned int n = ledger_delivered(message);
	const char *reason;

	if (n == 0)
		return 0;
	(void)email_message_get_recipient_state(message, n - 1, &reason);
	return (unsigned int)atoi(reason);
}

/* The body's end: 1 as it should be, 0 it is another, -1 it cannot be read. */
static int has_body(email_message *message, const char *body)
{
	const unsigned char *data;
	size_t size;
	ssize_t ret;

	i_stream_seek(message->body, 0);
	do {
		ret = i_stream_read_bytes(message->body, &data, &size,
					  strlen(body));
	} while (ret == 0);
	if (message->body->stream_errno != 0) {
		errno = message->body->stream_errno;
		return -1;
	}
	if (ret != 1 || size < strlen(body) ||
	    memcmp(data, body, strlen(body)) != 0)
		return 0;
	i_stream_skip(message->body, strlen(body));
	while ((ret = i_stream_read(message->body)) > 0 || ret == -2)
		return 0;
	if (message->body->stream_errno != 0) {
		errno = message->body->stream_errno;
		return -1;
	}
	return 1;
}

/* As ledger_read(), with errno where its body cannot be read. */
static int identify(email_message *message, unsigned int m)
{
	const char *value = email_message_get_value(message, "x", "y");
	unsigned int c;
	int ret;

	for (c = 1; c < ledger_messages[m].count; c++) {
		const struct ledger_content *content =
			&ledger_messages[m].contents[c];

		if (value == NULL ||
		    content->headers != (unsigned int)atoi(value) ||
		    content->version != email_message_get_version(message) ||
		    content->delivered != ledger_delivered(message) ||
		    content->states != states_of(message))
			continue;
		ret = has_body(message,
			       ledger_messages[m].contents[content->body].text);
		if (ret > 0)
			return (int)c;
		if (ret < 0)
			return LEDGER_FAILED;
	}
	return LEDGER_WRONG;
}

/* Of what cannot be read, or is nothing that it was. */
static int tell_unread(unsigned int m, email_message *message, int content,
		       const char **why)
{
	int error = errno;

	*why = ledger_wrong;
	if (content == LEDGER_FAILED && error != EINVAL && error != EPIPE)
		return LEDGER_FAILED;
	if (content == LEDGER_FAILED)
		(void)snprintf(ledger_wrong, sizeof(ledger_wrong),
			       "message %u: its body is damaged (%s)", m,
			       strerror(error));
	else
		(void)snprintf(ledger_wrong, sizeof(ledger_wrong),
			       "message %u: version %d is nothing that it was",
			       m, (int)email_message_get_version(message));
	return LEDGER_WRONG;
}

int ledger_read(struct spool *spool, unsigned int m, email_message **message_r,
		const char **why)
{
	int answer, content;

	*message_r = NULL;
	if (!ledger_messages[m].was_put)
		return 0;
	answer = spool_get(spool, &ledger_messages[m].id, message_r);
	if (answer == IO_FAIL && io_get_errno() == ENOENT)
		return 0;
	if (answer == IO_TRANS_FAIL)
		return LEDGER_FAILED;
	if (answer != IO_DONE) {
		*why = ledger_bad("cannot be read for good", m);
		return LEDGER_WRONG;
	}
	content = identify(*message_r, m);
	if (content < 0) {
		content = tell_unread(m, *message_r, content, why);
		email_message_unref(message_r);
	}
	return content;
}

const char *ledger_look_at(struct spool *spool, uint32_t set, unsigned int m,
			   int *c_r)
{
	email_message *message;
	const char *why = NULL;
	int c = ledger_read(spool, m, &message, &why);

	email_message_unref(&message);
	*c_r = c;
	if (c == LEDGER_FAILED)
		return ledger_bad("cannot be read now", m);
	if (c < 0)
		return why;
	if ((set >> c & 1) != 0)
		return NULL;
	(void)snprintf(ledger_wrong, sizeof(ledger_wrong),
		       "message %u: is %d (version %d), allowed are %x", m, c,
		       (int)ledger_messages[m].contents[c].version,
		       (unsigned int)set);
	return ledger_wrong;
}

struct looking {
	unsigned int counts[LEDGER_MESSAGES], strangers, problems;
	int damaged;
};

static bool seen(const struct spool_entry *entry, void *context)
{
	struct looking *looking = context;
	unsigned int m;

	for (m = 0; m < LEDGER_MESSAGES; m++) {
		if (ledger_messages[m].was_put &&
		    message_id_cmp(&entry->id, &ledger_messages[m].id) == 0) {
			looking->counts[m]++;
			break;
		}
	}
	if (m == LEDGER_MESSAGES)
		looking->strangers++;
	if (entry->problem != NULL) {
		looking->problems++;
		(void)snprintf(ledger_wrong, sizeof(ledger_wrong),
			       "problem of %u: %s (%d)", m, entry->problem,
			       entry->error);
		looking->damaged += entry->error == EINVAL ||
			entry->error == ENOTSUP || entry->error == EBADMSG ||
			entry->error == EILSEQ;
	}
	return true;
}

/* Of list and verify: all of those that are sure to be there, and none of those that are
   not. */
const char *ledger_check_list(struct spool *spool, bool verify,
			      const uint32_t *sets, bool *failed_r)
{
	struct looking looking = { .damaged = 0 };
	char *error = NULL;
	unsigned int m;
	int ret;

	ret = verify ? spool_verify(spool, seen, &looking, &error) :
		       spool_list(spool, seen, &looking, &error);
	*failed_r = ret < 0 || looking.problems > 0;
	if (looking.damaged > 0)
		return ledger_wrong;
	if (ret < 0) {
		(void)snprintf(ledger_wrong, sizeof(ledger_wrong), "%s: %s",
			       verify ? "verify" : "list", error);
		free(error);
	}
	if (looking.strangers > 0)
		return "a stranger is listed";
	for (m = 0; m < LEDGER_MESSAGES; m++) {
		if (looking.counts[m] > 1)
			return ledger_bad("listed twice", m);
		if (looking.counts[m] == 1 && sets[m] == 1)
			return ledger_bad("listed, and is not there", m);
		if (looking.counts[m] == 0 && (sets[m] & 1) == 0 && ret == 0)
			return ledger_bad("not listed", m);
	}
	return NULL;
}

static void found(const message_id *id, void *context)
{
	unsigned int *counts = context, m;

	for (m = 0; m < LEDGER_MESSAGES; m++) {
		if (ledger_messages[m].was_put &&
		    message_id_cmp(id, &ledger_messages[m].id) == 0)
			counts[m]++;
	}
}

void ledger_scan(struct spool *spool, unsigned int counts[LEDGER_MESSAGES])
{
	memset(counts, 0, LEDGER_MESSAGES * sizeof(*counts));
	spool_start_scan(spool, found, NULL, counts);
	spool_wait_scan(spool);
}

/*
 * Looking
 */

const char *ledger_look_all(struct spool *spool, const uint32_t *sets,
			    int is[LEDGER_MESSAGES])
{
	const char *why = NULL;
	uint32_t now[LEDGER_MESSAGES];
	unsigned int m;
	bool failed;

	for (m = 0; m < LEDGER_MESSAGES && why == NULL; m++) {
		why = ledger_look_at(spool, sets[m], m, &is[m]);
		now[m] = 1u << (why == NULL ? is[m] : 0);
	}
	if (why == NULL)
		why = ledger_check_list(spool, false, now, &failed);
	if (why == NULL && failed)
		why = ledger_wrong;
	if (why == NULL)
		why = ledger_check_list(spool, true, now, &failed);
	if (why == NULL && failed)
		why = ledger_wrong;
	return why;
}

/* Who only reads, before anybody has tidied up. */
static const char *check_reader(const char *dir, const uint32_t *sets,
				int is[LEDGER_MESSAGES])
{
	struct spool *spool;
	const char *why;
	char *error;

	spool = spool_open(dir, SPOOL_OPEN_READ_ONLY, &ledger_keys, &error);
	if (spool == NULL) {
		(void)snprintf(ledger_wrong, sizeof(ledger_wrong),
			       "cannot be opened for reading: %s", error);
		free(error);
		return ledger_wrong;
	}
	why = ledger_look_all(spool, sets, is);
	spool_close(&spool);
	return why;
}

/* A start of which an operation fails, whatever becomes of it. */
static void start_badly(const char *dir, unsigned int number)
{
	static struct file_ops quick;
	unsigned int counts[LEDGER_MESSAGES], op;
	struct spool *spool;
	char *error = NULL;

	quick = *file_ops();
	test_faults_begin_over(&quick);
	for (op = 0; op < TEST_OP_COUNT; op++)
		test_faults.fail_errno[op] = number % 3 == 0 ? ENOSPC : EIO;
	test_faults.fail_nth = 1 + number / 4 % 90;
	test_faults.fail_after = number % 4 == 1;
	spool = spool_open(dir, 0, &ledger_keys, &error);
	if (spool != NULL)
		ledger_scan(spool, counts);
	free(error);
	spool_close(&spool);
	file_ops_set(&quick);
}

static const char *check_writer(const char *dir, unsigned int flags,
				const uint32_t *sets, int is[LEDGER_MESSAGES])
{
	unsigned int counts[LEDGER_MESSAGES], m;
	struct spool *spool;
	const char *why;
	char *error;

	spool = spool_open(dir, flags, &ledger_keys, &error);
	if (spool == NULL) {
		(void)snprintf(ledger_wrong, sizeof(ledger_wrong),
			       "cannot be opened: %s", error);
		free(error);
		return ledger_wrong;
	}
	ledger_scan(spool, counts);
	why = ledger_look_all(spool, sets, is);
	for (m = 0; m < LEDGER_MESSAGES && why == NULL; m++) {
		if (counts[m] != (is[m] > 0 ? 1u : 0u))
			why = ledger_bad("handed out wrongly", m);
	}
	if (why == NULL)
		why = crash_left_behind(spool);
	spool_close(&spool);
	return why != NULL ?
		why :
		crash_put_aside(dir, ledger_wrong, sizeof(ledger_wrong));
}

const char *ledger_check(const char *dir, const int *events, size_t count,
			 void *context ATTR_UNUSED)
{
	static unsigned int number;
	int first[LEDGER_MESSAGES], is[LEDGER_MESSAGES];
	uint32_t sets[LEDGER_MESSAGES];
	const char *why;
	unsigned int i;

	ledger_get_sets(events, count, sets);
	why = check_reader(dir, sets, first);
	start_badly(dir, number++);
	for (i = 0; i < 2 && why == NULL; i++) {
		why = check_writer(dir, number % 3 == i ? SPOOL_OPEN_REPAIR : 0,
				   sets, is);
		if (why == NULL && memcmp(first, is, sizeof(is)) != 0)
			why = "a start finds others than the one before";
	}
	return why;
}
