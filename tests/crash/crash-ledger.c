/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What is done to a spool, what it answers, and what follows from that. */

#include "config.h"
#include "crash-ledger-private.h"
#include "istream.h"
#include "test-common.h"

#include <errno.h>
#include <stdlib.h>

#define RECIPIENTS 12

struct ledger_message ledger_messages[LEDGER_MESSAGES];
char ledger_wrong[2000];
struct stream_context ledger_keys;
static size_t body_size;
static bool settles;

/* Events: a kind, a message and a content. */
enum {
	MAY_BE = 1,
	IS,
	IS_NOT
};

const char *ledger_bad(const char *what, unsigned int m)
{
	(void)snprintf(ledger_wrong, sizeof(ledger_wrong),
		       "message %u: %s (%s; %s)", m, what, io_get_error(),
		       strerror(io_get_errno()));
	return ledger_wrong;
}

static void apply(uint32_t sets[LEDGER_MESSAGES], int event)
{
	unsigned int m = (unsigned int)event / 100 % 10;
	uint32_t bit = 1u << (unsigned int)event % 100;

	switch (event / 1000) {
	case MAY_BE:
		sets[m] |= bit;
		break;
	case IS:
		sets[m] = bit;
		break;
	default:
		sets[m] &= ~bit;
	}
}

void ledger_get_sets(const int *events, size_t count,
		     uint32_t sets_r[LEDGER_MESSAGES])
{
	unsigned int m;

	for (m = 0; m < LEDGER_MESSAGES; m++)
		sets_r[m] = ledger_messages[m].base;
	for (; count > 0; events++, count--)
		apply(sets_r, *events);
}

void ledger_base_behind(const int *events, size_t count)
{
	uint32_t sets[LEDGER_MESSAGES];
	unsigned int m;

	ledger_get_sets(events, count, sets);
	for (m = 0; m < LEDGER_MESSAGES; m++)
		ledger_messages[m].allowed = ledger_messages[m].base = sets[m];
}

void ledger_base(void)
{
	unsigned int m;

	for (m = 0; m < LEDGER_MESSAGES; m++)
		ledger_messages[m].base = ledger_messages[m].allowed;
}

static void note(int kind, unsigned int m, unsigned int c)
{
	int event = kind * 1000 + (int)m * 100 + (int)c;
	uint32_t sets[LEDGER_MESSAGES];

	sets[m] = ledger_messages[m].allowed;
	apply(sets, event);
	ledger_messages[m].allowed = sets[m];
	crash_record_event(event);
}

void ledger_set_size(size_t size)
{
	body_size = size;
}

static void forget_tries(void)
{
	unsigned int m;

	for (m = 0; m < LEDGER_MESSAGES; m++)
		email_message_unref(&ledger_messages[m].tried);
}

void ledger_begin(bool _settles)
{
	struct ledger_message *message;
	unsigned int m, c;

	settles = _settles;
	forget_tries();
	for (m = 0; m < LEDGER_MESSAGES; m++) {
		message = &ledger_messages[m];
		for (c = 0; c < LEDGER_CONTENTS; c++)
			free(message->contents[c].text);
		memset(message, 0, sizeof(*message));
		message->count = message->allowed = message->base = 1;
	}
}

void ledger_end(void)
{
	forget_tries();
}

static void make_body(unsigned int m, unsigned int c)
{
	static const char end[] = "\r\n.\r\n";
	size_t size = c % 2 == 0 ? body_size / 2 : body_size, pos;
	char *body = malloc(size + 200);
	uint32_t seed = m * 100 + c + 1;

	assert_non_null(body);
	pos = (size_t)snprintf(body, 100, "Subject: %u %u\r\n\r\n", m, c);
	for (; pos < size; pos++) {
		body[pos] = (char)('a' + (test_random(&seed) >> 8) % 26);
		if (pos % 64 == 63)
			memcpy(body + pos - 1, "\r\n", 2);
	}
	memcpy(body + pos, end, sizeof(end));
	ledger_messages[m].contents[c].text = body;
}

static void set_body(email_message *message, unsigned int m, unsigned int c)
{
	const char *text = ledger_messages[m].contents[c].text;
	struct istream *input = i_stream_create_from_data(text, strlen(text));

	email_message_set_body(message, input, 0);
	i_stream_unref(&input);
}

/* The next content of the message, which has a body at hand. */
static unsigned int new_content(struct ledger_message *message, unsigned int m,
				const struct ledger_content *from)
{
	unsigned int c = message->count++;

	assert_true(c < LEDGER_CONTENTS);
	if (from != NULL)
		message->contents[c] = *from;
	message->contents[c].version++;
	make_body(m, c);
	return c;
}

static void mark(email_message *message, unsigned int c)
{
	char text[20];

	(void)snprintf(text, sizeof(text), "%u", c);
	assert_int_equal(email_message_set_value(message, "x", "y", text), 0);
}

static void deliver(email_message *message, unsigned int c)
{
	char text[20];

	(void)snprintf(text, sizeof(text), "%u", c);
	assert_int_equal(email_message_set_recipient_state(
				 message, ledger_delivered(message),
				 EMAIL_RECIPIENT_DELIVERED, text),
			 0);
}

/*
 * The steps
 */

struct doing {
	struct spool *spool;
	enum ledger_step step;
	unsigned int m;
	struct ledger_message *message; /* of this number */
	bool same, again;
};

static const char *not_done(struct doing *doing, int answer)
{
	doing->again = true;
	return answer == IO_TRANS_FAIL && test_faults.hit ?
		NULL :
		ledger_bad(answer == IO_FAIL ? "refused for good" : "refused",
			   doing->m);
}

/* While nothing fails. */
static const char *look_well(struct spool *spool, unsigned int m, int *c_r)
{
	unsigned int nth = test_faults.fail_nth;
	const char *why;

	test_faults.fail_nth = 0;
	why = ledger_look_at(spool, ledger_messages[m].allowed, m, c_r);
	test_faults.fail_nth = nth;
	return why;
}

/* Something is acknowledged. */
static const char *settle_others(struct spool *spool)
{
	const char *why = NULL;
	unsigned int m;
	uint32_t set;
	int c;

	for (m = 0; settles && m < LEDGER_MESSAGES && why == NULL; m++) {
		set = ledger_messages[m].allowed;
		if ((set & (set - 1)) == 0)
			continue;
		why = look_well(spool, m, &c);
		if (why == NULL)
			note(IS, m, (unsigned int)c);
	}
	return why;
}

static const char *is_written(struct doing *doing)
{
	note(IS, doing->m, doing->message->tried_content);
	email_message_unref(&doing->message->tried);
	return settle_others(doing->spool);
}

/* The same in each run; two of them are in one bucket of the file store. */
static void make_id(message_id *id, unsigned int m)
{
	memset(id, 0, sizeof(*id));
	id->bytes[1] = 1;
	id->bytes[8] = (unsigned char)m;
	id->bytes[15] = m == 2;
}

static void make_new(struct ledger_message *message, unsigned int m)
{
	unsigned int c = new_content(message, m, NULL), n;

	message->contents[c].headers = message->contents[c].body = c;
	if (!message->was_put)
		make_id(&message->id, m);
	message->was_put = true;
	email_message_unref(&message->tried);
	message->tried = email_message_new(&message->id);
	message->tried_content = c;
	set_body(message->tried, m, c);
	mark(message->tried, c);
	for (n = 0; n < RECIPIENTS; n++)
		assert_int_equal(
			email_message_add_recipient(message->tried, "a@b"), 0);
}

/* What was told to be there is: it may be what failed before. */
static const char *is_refused(struct doing *doing)
{
	unsigned int c = doing->message->tried_content;
	const char *why;
	int is;

	why = look_well(doing->spool, doing->m, &is);
	email_message_unref(&doing->message->tried);
	if (why != NULL)
		return why;
	if (is == 0)
		return ledger_bad("is not there, and is said to be", doing->m);
	if (is != (int)c)
		note(IS_NOT, doing->m, c);
	return NULL;
}

static const char *do_put(struct doing *doing)
{
	struct ledger_message *message = doing->message;
	int answer;

	if (!doing->same || message->tried == NULL)
		make_new(message, doing->m);
	if ((message->allowed & 1) != 0)
		note(MAY_BE, doing->m, message->tried_content);
	answer = spool_put(doing->spool, message->tried);
	if (answer == IO_FAIL && io_get_errno() == EEXIST)
		return is_refused(doing);
	if (answer != IO_DONE)
		return not_done(doing, answer);
	if ((message->allowed >> message->tried_content & 1) == 0)
		return ledger_bad("stored over another one", doing->m);
	return is_written(doing);
}

/* Reads it, and changes it; where it is not there nothing is tried. */
static const char *make_changed(struct doing *doing)
{
	struct ledger_message *message = doing->message;
	struct ledger_content *content;
	const char *why = NULL;
	unsigned int c;
	int from;

	email_message_unref(&message->tried);
	from = ledger_read(doing->spool, doing->m, &message->tried, &why);
	if (from == LEDGER_FAILED)
		return not_done(doing, IO_TRANS_FAIL);
	if (from < 0)
		return why;
	if ((message->allowed >> from & 1) == 0)
		return ledger_bad("read as what it may not be", doing->m);
	if (from == 0)
		return NULL;
	c = new_content(message, doing->m, &message->contents[from]);
	content = &message->contents[c];
	message->tried_content = c;
	if (doing->step == LEDGER_DELIVER && content->delivered < RECIPIENTS) {
		deliver(message->tried, c);
		content->delivered++;
		content->states = c;
	} else {
		mark(message->tried, c);
		content->headers = c;
	}
	if (doing->step == LEDGER_REPLACE) {
		set_body(message->tried, doing->m, c);
		content->body = c;
	}
	return NULL;
}

static const char *do_write(struct doing *doing)
{
	struct ledger_message *message = doing->message;
	const char *why = NULL;
	int answer = IO_DONE;

	if (!doing->same || message->tried == NULL)
		why = make_changed(doing);
	if (why != NULL || message->tried == NULL)
		return why;
	note(MAY_BE, doing->m, message->tried_content);
	if (doing->step == LEDGER_REPLACE)
		answer = spool_writebody(doing->spool, IO_SYNCHRONOUS,
					 message->tried, 0);
	if (answer == IO_DONE)
		answer = spool_writeheaders(doing->spool, IO_SYNCHRONOUS,
					    message->tried, 0);
	return answer == IO_DONE ? is_written(doing) : not_done(doing, answer);
}

static const char *do_remove(struct doing *doing)
{
	int answer;

	if (!doing->message->was_put)
		return NULL;
	email_message_unref(&doing->message->tried);
	note(MAY_BE, doing->m, 0);
	answer = spool_remove(doing->spool, &doing->message->id);
	if (answer != IO_DONE)
		return not_done(doing, answer);
	note(IS, doing->m, 0);
	return NULL;
}

static const char *do_get(struct doing *doing)
{
	const char *why;
	int c;

	why = ledger_look_at(doing->spool, doing->message->allowed, doing->m,
			     &c);
	doing->again = c == LEDGER_FAILED && test_faults.hit;
	return doing->again ? NULL : why;
}

static const char *do_list(struct doing *doing)
{
	uint32_t sets[LEDGER_MESSAGES];
	const char *why;
	unsigned int m;

	for (m = 0; m < LEDGER_MESSAGES; m++)
		sets[m] = ledger_messages[m].allowed;
	why = ledger_check_list(doing->spool, doing->step == LEDGER_VERIFY,
				sets, &doing->again);
	if (why == NULL && doing->again && !test_faults.hit)
		return ledger_wrong;
	return why;
}

/* `all`: those that are sure to be there are handed out, unless a fault was met. Else it is
   not the first one since it was opened. */
static const char *check_scan(struct spool *spool, bool all)
{
	unsigned int counts[LEDGER_MESSAGES], m;
	struct spool_undone before = { .left_out = 0 }, undone;

	if (!all)
		spool_get_undone(spool, &before);
	ledger_scan(spool, counts);
	spool_get_undone(spool, &undone);
	if (undone.unkept > 0)
		return "a scan finds damage";
	if (undone.left_out > before.left_out && !test_faults.hit)
		return "a scan leaves something out";
	for (m = 0; m < LEDGER_MESSAGES; m++) {
		if (counts[m] > 1)
			return ledger_bad("handed out twice", m);
		if (counts[m] == 1 && ledger_messages[m].allowed == 1)
			return ledger_bad("handed out, and is not there", m);
		if (counts[m] == 0 && (ledger_messages[m].allowed & 1) == 0 &&
		    all && undone.left_out == 0)
			return ledger_bad("not handed out", m);
	}
	return NULL;
}

static const char *do_compact(struct doing *doing)
{
	uint64_t moved;
	char *error;

	if (spool_compact(doing->spool, &moved, &error) == 0)
		return NULL;
	(void)snprintf(ledger_wrong, sizeof(ledger_wrong), "compact: %s",
		       error);
	free(error);
	doing->again = true;
	return test_faults.hit ? NULL : ledger_wrong;
}

static const char *do_reopen(struct doing *doing, const char *dir)
{
	char *error;

	forget_tries();
	if (doing->step == LEDGER_KILL && doing->spool != NULL)
		crash_kill_now();
	spool_close(&doing->spool);
	(void)crash_revive();
	doing->spool = spool_open(dir, 0, &ledger_keys, &error);
	if (doing->spool != NULL)
		return check_scan(doing->spool, true);
	(void)snprintf(ledger_wrong, sizeof(ledger_wrong), "open: %s", error);
	free(error);
	doing->again = true;
	return test_faults.hit ? NULL : ledger_wrong;
}

static const char *do_step(struct doing *doing, const char *dir)
{
	switch (doing->step) {
	case LEDGER_PUT:
		return do_put(doing);
	case LEDGER_CHANGE:
	case LEDGER_REPLACE:
	case LEDGER_DELIVER:
		return do_write(doing);
	case LEDGER_REMOVE:
		return do_remove(doing);
	case LEDGER_GET:
		return do_get(doing);
	case LEDGER_LIST:
	case LEDGER_VERIFY:
		return do_list(doing);
	case LEDGER_SCAN:
		return check_scan(doing->spool, false);
	case LEDGER_COMPACT:
		return do_compact(doing);
	case LEDGER_REOPEN:
	case LEDGER_KILL:
		return do_reopen(doing, dir);
	case LEDGER_STEPS:
		break;
	}
	return "no such step";
}

const char *ledger_do(struct spool **spool, const char *dir,
		      const struct ledger_call *call, bool same, bool *again_r)
{
	struct doing doing = { .spool = *spool,
			       .step = call->step,
			       .m = call->message,
			       .message = &ledger_messages[call->message],
			       .same = same };
	const char *why = do_step(&doing, dir);

	*spool = doing.spool;
	*again_r = doing.again;
	return why;
}

const char *ledger_look(struct spool *spool)
{
	uint32_t sets[LEDGER_MESSAGES];
	int is[LEDGER_MESSAGES];
	unsigned int m;

	for (m = 0; m < LEDGER_MESSAGES; m++)
		sets[m] = ledger_messages[m].allowed;
	return ledger_look_all(spool, sets, is);
}

const char *ledger_step_name(enum ledger_step step)
{
	static const char *const names[LEDGER_STEPS] = {
		"put",  "change", "replace", "deliver", "remove", "get",
		"list", "verify", "scan",    "compact", "reopen", "kill"
	};

	return names[step];
}
