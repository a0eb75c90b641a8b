/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The hook chain: who is called, in which order, and what each answer means. */

#include "config.h"
#include "istream.h"
#include "spool-modules.h"
#include "spool-private.h"
#include "test-common.h"

#include <errno.h>
#include <stdlib.h>

/* Modules "a", "b", "c" that write down their calls (those with force by "!") and
   answer what they are told. */
static char calls[1024];
static int answers[3][6];

struct letter_module {
	io_infrastructure io;
	unsigned int index;
};

static int note(io_infrastructure *io, enum io_operation op, int force)
{
	static const char *const names[] = {
		"wh", "rh", "uh", "wb", "rb", "ub"
	};
	struct letter_module *m = container_of(io, struct letter_module, io);
	size_t size = strlen(calls);

	(void)snprintf(calls + size, sizeof(calls) - size, "%s%c:%s%s",
		       size == 0 ? "" : " ", (int)('a' + m->index), names[op],
		       force == 0 ? "" : "!");
	return answers[m->index][op];
}

static int wh(io_infrastructure *io, io_caller caller ATTR_UNUSED,
	      email_message *m ATTR_UNUSED, int force)
{
	return note(io, IO_OP_WRITEHEADERS, force);
}
static int rh(io_infrastructure *io, io_caller caller ATTR_UNUSED,
	      email_message *m ATTR_UNUSED)
{
	return note(io, IO_OP_READHEADERS, 0);
}
static int uh(io_infrastructure *io, io_caller caller ATTR_UNUSED,
	      message_id *id ATTR_UNUSED)
{
	return note(io, IO_OP_UNLINKHEADERS, 0);
}
static int wb(io_infrastructure *io, io_caller caller ATTR_UNUSED,
	      email_message *m ATTR_UNUSED, int force)
{
	return note(io, IO_OP_WRITEBODY, force);
}
static int rb(io_infrastructure *io, io_caller caller ATTR_UNUSED,
	      email_message *m ATTR_UNUSED)
{
	return note(io, IO_OP_READBODY, 0);
}
static int ub(io_infrastructure *io, io_caller caller ATTR_UNUSED,
	      message_id *id ATTR_UNUSED)
{
	return note(io, IO_OP_UNLINKBODY, 0);
}

static int close_hook(io_infrastructure *io)
{
	struct letter_module *m = container_of(io, struct letter_module, io);
	size_t size = strlen(calls);

	(void)snprintf(calls + size, sizeof(calls) - size, " %c:close",
		       (int)('a' + m->index));
	return IO_DONE;
}

static char after_calls[256];

static void after(io_infrastructure *io, enum io_operation op ATTR_UNUSED,
		  const message_id *id ATTR_UNUSED,
		  uint64_t version ATTR_UNUSED, int result)
{
	struct letter_module *m = container_of(io, struct letter_module, io);
	size_t size = strlen(after_calls);

	(void)snprintf(after_calls + size, sizeof(after_calls) - size, "%c:%d ",
		       (int)('a' + m->index), result);
}

static struct letter_module modules[3];
static char warning[256];

static void take_warning(const char *text, void *context ATTR_UNUSED)
{
	(void)snprintf(warning, sizeof(warning), "%s", text);
}

static struct spool *letters(void)
{
	static const shared_module_infrastructure shared =
		SPOOL_MODULE_SHARED("letter", "a test", "writes down");
	struct spool *spool = spool_new();
	unsigned int i, op;
	char *error;

	spool_set_warning_callback(spool, take_warning, NULL);
	for (i = 0; i < 3; i++) {
		io_infrastructure *io = &modules[i].io;

		modules[i].index = i;
		io->shared = shared;
		io->shared.after = after;
		io->io_writeheaders = wh;
		io->io_readheaders = rh;
		io->io_unlinkheaders = uh;
		io->io_writebody = wb;
		io->io_readbody = rb;
		io->io_unlinkbody = ub;
		io->io_close = close_hook;
		for (op = 0; op < 6; op++)
			answers[i][op] = IO_CONT;
		assert_int_equal(spool_add_module(spool, io, NULL, &error), 0);
	}
	calls[0] = after_calls[0] = warning[0] = '\0';
	return spool;
}

static email_message *some_message(void)
{
	struct message_id id;

	memset(&id, 7, sizeof(id));
	return email_message_new(&id);
}

static void test_write_answers(void **state ATTR_UNUSED)
{
	static const struct {
		int a, b, c, result;
		const char *calls;
	} cases[] = {
		{ IO_DONE, IO_DONE, IO_DONE, IO_DONE, "a:wb" },
		{ IO_CONT, IO_DONE, IO_DONE, IO_DONE, "a:wb b:wb" },
		{ IO_CONT, IO_CONT, IO_DONE, IO_DONE, "a:wb b:wb c:wb" },
		/* nobody said that it is journalled: taken back from all */
		{ IO_CONT, IO_CONT, IO_CONT, IO_FAIL,
		  "a:wb b:wb c:wb c:ub b:ub a:ub" },
		{ IO_FAIL, IO_DONE, IO_DONE, IO_FAIL, "a:wb" },
		{ IO_CONT, IO_CONT, IO_FAIL, IO_FAIL,
		  "a:wb b:wb c:wb b:ub a:ub" },
		{ IO_CONT, IO_TRANS_FAIL, IO_DONE, IO_TRANS_FAIL,
		  "a:wb b:wb a:ub" },
		{ IO_CONT, 42, IO_DONE, IO_FAIL, "a:wb b:wb a:ub" },
	};
	struct spool *spool = letters();
	email_message *message = some_message();
	size_t i;

	for (i = 0; i < N_ELEMENTS(cases); i++) {
		calls[0] = '\0';
		answers[0][IO_OP_WRITEBODY] = cases[i].a;
		answers[1][IO_OP_WRITEBODY] = cases[i].b;
		answers[2][IO_OP_WRITEBODY] = cases[i].c;
		assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, message,
						 0),
				 cases[i].result);
		if (strcmp(calls, cases[i].calls) != 0)
			fail_msg("case %zu: %s", i, calls);
		if (cases[i].result != IO_DONE)
			assert_true(*io_get_error() != '\0');
	}
	email_message_unref(&message);
	spool_close(&spool);
}

static void test_new_headers_are_undone(void **state ATTR_UNUSED)
{
	struct spool *spool = letters();
	email_message *message = some_message();

	answers[2][IO_OP_WRITEHEADERS] = IO_FAIL;
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0),
			 IO_FAIL);
	assert_string_equal(calls, "a:wh b:wh c:wh b:uh a:uh c:ub b:ub a:ub");
	assert_int_equal(email_message_get_version(message), 0);
	/* nobody failed, and nobody journalled it */
	answers[2][IO_OP_WRITEHEADERS] = IO_CONT;
	calls[0] = '\0';
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0),
			 IO_FAIL);
	assert_string_equal(calls,
			    "a:wh b:wh c:wh c:uh b:uh a:uh c:ub b:ub a:ub");
	answers[2][IO_OP_WRITEHEADERS] = IO_FAIL;

	/* a rewrite is not: the old version stays the truth */
	email_message_set_version(message, 3);
	calls[0] = '\0';
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0),
			 IO_FAIL);
	assert_string_equal(calls, "a:wh b:wh c:wh");
	assert_int_equal(email_message_get_version(message), 3);

	answers[2][IO_OP_WRITEHEADERS] = IO_DONE;
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	assert_int_equal(email_message_get_version(message), 4);
	email_message_unref(&message);
	spool_close(&spool);
}

static const struct {
	enum io_operation op;
	int c, force, result;
	const char *calls;
} rewrites[] = {
	{ IO_OP_WRITEHEADERS, IO_DONE, 0, IO_DONE, "a:wh b:wh c:wh" },
	{ IO_OP_WRITEHEADERS, IO_TRANS_FAIL, 0, IO_TRANS_FAIL,
	  "a:wh b:wh c:wh" },
	{ IO_OP_WRITEHEADERS, IO_FAIL, 0, IO_FAIL, "a:wh! b:wh! c:wh!" },
	/* the body alone is no rewrite yet */
	{ IO_OP_WRITEBODY, IO_DONE, 0, IO_DONE, "a:wb! b:wb! c:wb!" },
	{ IO_OP_WRITEHEADERS, IO_DONE, 0, IO_DONE, "a:wh! b:wh! c:wh!" },
	{ IO_OP_WRITEHEADERS, IO_DONE, 0, IO_DONE, "a:wh b:wh c:wh" },
	{ IO_OP_WRITEBODY, IO_FAIL, 0, IO_FAIL, "a:wb b:wb c:wb" },
	{ IO_OP_WRITEBODY, IO_DONE, 0, IO_DONE, "a:wb! b:wb! c:wb!" },
	{ IO_OP_WRITEHEADERS, IO_DONE, 0, IO_DONE, "a:wh! b:wh! c:wh!" },
	{ IO_OP_WRITEHEADERS, IO_DONE, 2, IO_DONE, "a:wh! b:wh! c:wh!" },
	{ IO_OP_WRITEHEADERS, IO_DONE, 0, IO_DONE, "a:wh b:wh c:wh" },
};

/* Who went on with a rewrite that failed may think that it is done. */
static void test_force_after_a_failed_rewrite(void **state ATTR_UNUSED)
{
	struct spool *spool = letters();
	email_message *message = some_message();
	size_t i;
	int result;

	/* a new message is undone instead */
	answers[2][IO_OP_WRITEBODY] = IO_FAIL;
	(void)spool_writebody(spool, IO_SYNCHRONOUS, message, 0);
	(void)spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0);
	email_message_set_version(message, 1);
	for (i = 0; i < N_ELEMENTS(rewrites); i++) {
		calls[0] = '\0';
		answers[2][rewrites[i].op] = rewrites[i].c;
		result = rewrites[i].op == IO_OP_WRITEBODY ?
			spool_writebody(spool, IO_SYNCHRONOUS, message,
					rewrites[i].force) :
			spool_writeheaders(spool, IO_SYNCHRONOUS, message,
					   rewrites[i].force);
		if (result != rewrites[i].result ||
		    strcmp(calls, rewrites[i].calls) != 0)
			fail_msg("case %zu: %d, %s", i, result, calls);
	}
	email_message_unref(&message);
	spool_close(&spool);
}

static void test_undo_failures_are_reported(void **state ATTR_UNUSED)
{
	struct spool *spool = letters();
	email_message *message = some_message();

	answers[1][IO_OP_WRITEBODY] = IO_FAIL;
	answers[0][IO_OP_UNLINKBODY] = IO_FAIL;
	assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, message, 0),
			 IO_FAIL);
	assert_non_null(strstr(warning, "may keep a message"));

	/* of a rewrite nothing is undone */
	email_message_set_version(message, 1);
	calls[0] = '\0';
	assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, message, 0),
			 IO_FAIL);
	assert_string_equal(calls, "a:wb b:wb");
	email_message_unref(&message);
	spool_close(&spool);
}

static void test_reads_and_unlinks(void **state ATTR_UNUSED)
{
	struct spool *spool = letters();
	email_message *message = some_message();

	assert_int_equal(spool_readheaders(spool, IO_SYNCHRONOUS, message),
			 IO_FAIL);
	assert_string_equal(io_get_error(), "no module has the message");
	assert_int_equal(io_get_errno(), ENOENT);
	answers[1][IO_OP_READHEADERS] = IO_TRANS_FAIL;
	calls[0] = '\0';
	assert_int_equal(spool_readheaders(spool, IO_SYNCHRONOUS, message),
			 IO_TRANS_FAIL);
	assert_string_equal(calls, "a:rh b:rh");

	/* absent everywhere: that is what was asked for */
	calls[0] = '\0';
	assert_int_equal(spool_unlinkheaders(spool, IO_SYNCHRONOUS,
					     &message->message_id),
			 IO_DONE);
	assert_string_equal(calls, "a:uh b:uh c:uh");
	assert_string_equal(warning, "");
	answers[0][IO_OP_UNLINKHEADERS] = IO_DONE;
	calls[0] = '\0';
	assert_int_equal(spool_unlinkheaders(spool, IO_SYNCHRONOUS,
					     &message->message_id),
			 IO_DONE);
	assert_string_equal(calls, "a:uh");
	assert_non_null(strstr(warning, "IO_DONE to io_unlinkheaders"));
	/* once a module */
	warning[0] = '\0';
	(void)spool_unlinkheaders(spool, IO_SYNCHRONOUS, &message->message_id);
	assert_string_equal(warning, "");
	email_message_unref(&message);
	spool_close(&spool);
}

/* Who is told that it was read looks at it. */
static void test_no_body_is_none(void **state ATTR_UNUSED)
{
	struct spool *spool = letters();
	email_message *message = some_message();
	struct istream *body;

	answers[1][IO_OP_READBODY] = IO_DONE;
	assert_int_equal(spool_readbody(spool, IO_SYNCHRONOUS, message),
			 IO_FAIL);
	assert_int_equal(io_get_errno(), EINVAL);
	assert_non_null(strstr(io_get_error(), "module letter: io_readbody"));
	assert_string_equal(calls, "a:rb b:rb");
	body = i_stream_create_from_data("", 0);
	email_message_set_body(message, body, 0);
	i_stream_unref(&body);
	assert_int_equal(spool_readbody(spool, IO_SYNCHRONOUS, message),
			 IO_DONE);
	email_message_unref(&message);
	spool_close(&spool);
}

static void test_after_and_close_run_backwards(void **state ATTR_UNUSED)
{
	struct spool *spool = letters();
	email_message *message = some_message();

	answers[0][IO_OP_UNLINKBODY] = IO_DONE;
	assert_int_equal(spool_unlinkbody(spool, IO_SYNCHRONOUS,
					  &message->message_id),
			 IO_DONE);
	assert_string_equal(after_calls, "c:0 b:0 a:0 ");
	email_message_unref(&message);
	calls[0] = '\0';
	spool_close(&spool);
	assert_string_equal(calls, " c:close b:close a:close");
}

struct heard {
	unsigned int count;
	char first[32];
};

static void hear(const char *text, void *context)
{
	struct heard *heard = context;

	if (heard->count++ == 0)
		(void)snprintf(heard->first, sizeof(heard->first), "%s", text);
}

/* Before somebody listens the first ones are kept, and told once; behind that each is told at
   once. */
static void test_early_warnings_are_kept(void **state ATTR_UNUSED)
{
	struct spool *spool = spool_new();
	struct heard heard = { 0 };
	unsigned int i;

	for (i = 0; i < 3 * SPOOL_EARLY_MAX; i++)
		spool_warn(spool, "number %u", i);
	spool_set_warning_callback(spool, hear, &heard);
	assert_int_equal(heard.count, SPOOL_EARLY_MAX);
	assert_string_equal(heard.first, "number 0");
	spool_warn(spool, "another one");
	assert_int_equal(heard.count, SPOOL_EARLY_MAX + 1);
	/* nobody listens, and then another one does */
	spool_set_warning_callback(spool, NULL, NULL);
	spool_warn(spool, "kept");
	memset(&heard, 0, sizeof(heard));
	spool_set_warning_callback(spool, hear, &heard);
	assert_int_equal(heard.count, 1);
	assert_string_equal(heard.first, "kept");
	spool_close(&spool);
}

/* A store that counts nothing says so by zeros. */
static void test_stats_of_a_store_without_any(void **state ATTR_UNUSED)
{
	static const struct spool_stats zeros;
	const struct spool_store store = { .name = "none" };
	io_infrastructure *memory = spool_module_memory_new();
	struct spool_stats stats;
	struct spool *spool = spool_new();
	char *error;

	memset(&stats, 0xff, sizeof(stats));
	assert_int_equal(spool_get_stats(spool, &stats, &error), -1);
	assert_int_equal(errno, ENOTSUP);
	free(error);
	assert_int_equal(spool_add_module(spool, memory, "", &error), 0);
	spool->store = memory;
	spool->store_class = &store;
	memset(&stats, 0xff, sizeof(stats));
	assert_int_equal(spool_get_stats(spool, &stats, &error), 0);
	assert_memory_equal(&stats, &zeros, sizeof(stats));
	spool->store = NULL;
	spool->store_class = NULL;
	spool_close(&spool);
}

static void test_missing_hooks_are_skipped(void **state ATTR_UNUSED)
{
	struct spool *spool = letters();
	email_message *message = some_message();

	modules[1].io.io_writebody = NULL;
	answers[2][IO_OP_WRITEBODY] = IO_DONE;
	assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	assert_string_equal(calls, "a:wb c:wb");
	email_message_unref(&message);
	spool_close(&spool);
}

static void found(const message_id *id ATTR_UNUSED, void *context)
{
	(*(int *)context)++;
}

static void test_memory_null_and_failing_modules(void **state ATTR_UNUSED)
{
	static const char body[] = "Subject: x\r\n\r\ny\r\n.\r\n";
	struct spool *spool = spool_new();
	email_message *message, *got;
	struct istream *input;
	const unsigned char *data;
	struct message_id id;
	char *error;
	size_t size;
	int count = 0;

	assert_int_equal(spool_add_module(spool, spool_module_null_new(), NULL,
					  &error),
			 0);
	assert_int_equal(
		spool_add_module(spool,
				 spool_module_failure_new(IO_OP_WRITEBODY, 2,
							  IO_TRANS_FAIL),
				 NULL, &error),
		0);
	assert_int_equal(spool_add_module(spool, spool_module_memory_new(),
					  NULL, &error),
			 0);
	spool_new_id(spool, &id);
	message = email_message_new(&id);
	input = i_stream_create_from_data(body, sizeof(body) - 1);
	email_message_set_body(message, input, 0);
	assert_int_equal(spool_put(spool, message), IO_DONE);
	assert_int_equal(spool_get(spool, &id, &got), IO_DONE);
	assert_int_equal(got->body_len, sizeof(body) - 1);
	assert_int_equal(i_stream_read_more(got->body, &data, &size), 1);
	assert_int_equal(size, sizeof(body) - 1);
	assert_memory_equal(data, body, size);
	email_message_unref(&got);
	email_message_unref(&message);

	/* the second body meets the failure, and leaves nothing behind */
	spool_new_id(spool, &id);
	message = email_message_new(&id);
	email_message_set_body(message, input, 0);
	assert_int_equal(spool_put(spool, message), IO_TRANS_FAIL);
	assert_string_equal(io_get_error(), "failing on purpose");
	assert_int_equal(spool_get(spool, &id, &got), IO_FAIL);
	email_message_unref(&message);
	i_stream_unref(&input);

	spool_start_scan(spool, found, NULL, &count);
	spool_wait_scan(spool);
	assert_int_equal(count, 1);
	spool_close(&spool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_write_answers),
		cmocka_unit_test(test_new_headers_are_undone),
		cmocka_unit_test(test_force_after_a_failed_rewrite),
		cmocka_unit_test(test_undo_failures_are_reported),
		cmocka_unit_test(test_reads_and_unlinks),
		cmocka_unit_test(test_no_body_is_none),
		cmocka_unit_test(test_after_and_close_run_backwards),
		cmocka_unit_test(test_early_warnings_are_kept),
		cmocka_unit_test(test_stats_of_a_store_without_any),
		cmocka_unit_test(test_missing_hooks_are_skipped),
		cmocka_unit_test(test_memory_null_and_failing_modules),
	};

	return cmocka_run_group_tests_name("spool-chain", tests, NULL, NULL);
}
