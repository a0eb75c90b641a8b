/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What doc/hooks.md allows a module in front of a native store: another body, calls of the
   spool, and what it may not leave to the store. */

#include "config.h"
#include "istream.h"
#include "macros.h"
#include "test-async-common.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#define FIELD "X-Seen: yes\r\n"

static const char wire[] = TEST_SPOOL_WIRE;
static const char *const stores[] = { "file", "journal" };

/* A new spool behind this module, which has its hooks already. */
static struct spool *open_behind(const char *store, io_infrastructure *module)
{
	const shared_module_infrastructure shared =
		SPOOL_MODULE_SHARED("hooked", "", "");
	void (*after)(io_infrastructure *, enum io_operation,
		      const message_id *, uint64_t, int) = module->shared.after;
	struct spool *spool = test_spool_new_of(store, "gzip");
	char *error;

	module->shared = shared;
	module->shared.after = after;
	assert_int_equal(spool_add_module(spool, module, NULL, &error), 0);
	return spool;
}

/*
 * Bodies
 */

static int add_field(io_infrastructure *io ATTR_UNUSED,
		     io_caller caller ATTR_UNUSED, email_message *message,
		     int force ATTR_UNUSED)
{
	struct istream *field =
		i_stream_create_copy_from_data(FIELD, sizeof(FIELD) - 1);
	struct istream *parts[] = { field, message->body, NULL };
	struct istream *both;

	i_stream_seek(message->body, 0);
	both = i_stream_create_concat(parts);
	email_message_set_body(message, both, 0);
	i_stream_unref(&both);
	i_stream_unref(&field);
	return IO_CONT;
}

static void test_a_hook_changes_the_body(void **state ATTR_UNUSED)
{
	static const char want[] = FIELD TEST_SPOOL_WIRE;
	io_infrastructure module = { .io_writebody = add_field };
	struct spool *spool;
	message_id id;
	size_t s;

	for (s = 0; s < N_ELEMENTS(stores); s++) {
		spool = open_behind(stores[s], &module);
		assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1,
						&id),
				 IO_DONE);
		test_spool_must_have(spool, &id, want, sizeof(want) - 1);
		spool_close(&spool);
	}
}

static int done(io_infrastructure *io ATTR_UNUSED, io_caller caller ATTR_UNUSED,
		email_message *message ATTR_UNUSED, int force ATTR_UNUSED)
{
	return IO_DONE;
}

static void test_headers_without_the_body_are_refused(void **state ATTR_UNUSED)
{
	io_infrastructure module = { .io_writebody = done };
	struct spool *spool;
	unsigned int total;
	message_id id;
	size_t s;

	for (s = 0; s < N_ELEMENTS(stores); s++) {
		spool = open_behind(stores[s], &module);
		assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1,
						&id),
				 IO_FAIL);
		assert_int_equal(io_get_errno(), EINVAL);
		assert_non_null(strstr(io_get_error(), "was not written"));
		assert_int_equal(test_spool_damaged(spool, &total), 0);
		assert_int_equal(total, 0);
		spool_close(&spool);
	}
}

/*
 * Versions
 */

static uint64_t body_version, headers_version;
static bool is_new;

static int note_body(io_infrastructure *io ATTR_UNUSED,
		     io_caller caller ATTR_UNUSED, email_message *message,
		     int force ATTR_UNUSED)
{
	body_version = email_message_get_version(message);
	return IO_CONT;
}

static int note_headers(io_infrastructure *io ATTR_UNUSED,
			io_caller caller ATTR_UNUSED, email_message *message,
			int force ATTR_UNUSED)
{
	headers_version = email_message_get_version(message);
	is_new = headers_version == email_message_get_first_version(message);
	return IO_CONT;
}

static void must_note(uint64_t headers, bool want_new)
{
	assert_int_equal(headers_version, headers);
	assert_int_equal(is_new, want_new);
}

static void test_a_hook_knows_what_is_new(void **state ATTR_UNUSED)
{
	static const uint64_t firsts[] = { 1, 7 };
	io_infrastructure module = { .io_writebody = note_body,
				     .io_writeheaders = note_headers };
	struct spool *spool = open_behind("journal", &module);
	email_message *message;
	message_id id;
	size_t i;

	for (i = 0; i < N_ELEMENTS(firsts); i++) {
		message = test_async_message(spool, &id);
		if (firsts[i] != 1)
			assert_int_equal(email_message_set_first_version(
						 message, firsts[i]),
					 0);
		body_version = UINT64_MAX;
		assert_int_equal(spool_put(spool, message), IO_DONE);
		assert_int_equal(body_version, 0);
		must_note(firsts[i], true);
		assert_int_equal(test_spool_write_headers(spool, message),
				 IO_DONE);
		must_note(firsts[i] + 1, false);
		email_message_unref(&message);

		assert_int_equal(spool_get(spool, &id, &message), IO_DONE);
		assert_int_equal(test_spool_write_body(spool, message, wire),
				 IO_DONE);
		assert_int_equal(body_version, firsts[i] + 1);
		assert_int_equal(test_spool_write_headers(spool, message),
				 IO_DONE);
		must_note(firsts[i] + 2, false);
		email_message_unref(&message);
	}
	spool_close(&spool);
}

/*
 * Calls of the spool
 */

/* Those that are called for a call of their own only go on. */
static _Thread_local bool inside;
static atomic_uint looked, failed;

static void expect(bool ok)
{
	(void)atomic_fetch_add(ok ? &looked : &failed, 1);
}

static void look(struct spool *spool, const message_id *id, bool is_there)
{
	email_message *message = NULL;
	int answer = spool_get(spool, id, &message);

	expect(is_there ? answer == IO_DONE :
			  answer == IO_FAIL && io_get_errno() == ENOENT);
	email_message_unref(&message);
}

static void put_and_remove(struct spool *spool)
{
	message_id id;
	email_message *message = test_async_message(spool, &id);

	expect(spool_put(spool, message) == IO_DONE);
	email_message_unref(&message);
	look(spool, &id, true);
	expect(spool_remove(spool, &id) == IO_DONE);
	look(spool, &id, false);
}

static int call_when_written(io_infrastructure *io,
			     io_caller caller ATTR_UNUSED,
			     email_message *message, int force ATTR_UNUSED)
{
	if (inside)
		return IO_CONT;
	inside = true;
	look(io->shared.spool, &message->message_id,
	     email_message_get_version(message) > 1);
	put_and_remove(io->shared.spool);
	inside = false;
	return IO_CONT;
}

static int call_when_removed(io_infrastructure *io,
			     io_caller caller ATTR_UNUSED, message_id *id)
{
	if (inside)
		return IO_CONT;
	inside = true;
	look(io->shared.spool, id, true);
	put_and_remove(io->shared.spool);
	inside = false;
	return IO_CONT;
}

static void call_after(io_infrastructure *io, enum io_operation op,
		       const message_id *id, uint64_t version ATTR_UNUSED,
		       int result ATTR_UNUSED)
{
	if (inside)
		return;
	inside = true;
	if (op == IO_OP_WRITEHEADERS || op == IO_OP_UNLINKHEADERS)
		look(io->shared.spool, id, op == IO_OP_WRITEHEADERS);
	inside = false;
}

/* A message is written, written anew and removed, by workers that do so with many. */
static void submit_all(struct spool *spool, struct spool_async *async,
		       struct test_answer answers[3])
{
	message_id id;
	email_message *message = test_async_message(spool, &id);

	assert_int_equal(spool_submit_put(async, message, test_answered,
					  &answers[0]),
			 IO_DONE);
	assert_int_equal(spool_submit_writeheaders(async, message, 1,
						   test_answered, &answers[1]),
			 IO_DONE);
	assert_int_equal(spool_submit_remove(async, &id, test_answered,
					     &answers[2]),
			 IO_DONE);
	email_message_unref(&message);
}

static void test_a_hook_calls_the_spool(void **state ATTR_UNUSED)
{
	static const unsigned int workers[] = { 1, 4 };
	io_infrastructure module = { .shared.after = call_after,
				     .io_writeheaders = call_when_written,
				     .io_unlinkheaders = call_when_removed };
	struct test_answer answers[20][3];
	struct spool_async *async;
	struct spool *spool;
	size_t s, w, i, k;

	for (s = 0; s < N_ELEMENTS(stores); s++) {
		for (w = 0; w < N_ELEMENTS(workers); w++) {
			memset(answers, 0, sizeof(answers));
			atomic_store(&looked, 0);
			atomic_store(&failed, 0);
			spool = open_behind(stores[s], &module);
			async = test_async_begin(spool, workers[w], 0);
			for (i = 0; i < N_ELEMENTS(answers); i++)
				submit_all(spool, async, answers[i]);
			test_wait_answers(3 * N_ELEMENTS(answers));
			for (i = 0; i < N_ELEMENTS(answers); i++) {
				for (k = 0; k < 3; k++)
					test_must_be(&answers[i][k], IO_DONE);
			}
			test_async_end(&async, &spool);
			assert_int_equal(atomic_load(&failed), 0);
			/* each of three hooks once, and after() */
			assert_int_equal(atomic_load(&looked),
					 N_ELEMENTS(answers) * 3 * 6);
		}
	}
}

static int read_in_init(io_infrastructure *io, const char *config ATTR_UNUSED)
{
	static const message_id id;
	email_message *message = email_message_new(&id);

	(void)spool_readheaders(io->shared.spool, IO_SYNCHRONOUS, message);
	email_message_unref(&message);
	return 0;
}

static void test_init_is_too_early(void **state ATTR_UNUSED)
{
	io_infrastructure early = { .io_writebody = done };
	io_infrastructure other = { .shared = SPOOL_MODULE_SHARED("other", "",
								  "") };
	struct spool *spool = test_spool_new("");
	const shared_module_infrastructure shared =
		SPOOL_MODULE_SHARED("early", "", "");
	char *error;

	early.shared = shared;
	early.shared.init = read_in_init;
	assert_int_equal(spool_add_module(spool, &early, NULL, &error), 0);
	assert_int_equal(spool_add_module(spool, &other, NULL, &error), -1);
	assert_int_equal(errno, EBUSY);
	assert_non_null(strstr(error, "before the first message"));
	free(error);
	spool_close(&spool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_hook_changes_the_body),
		cmocka_unit_test(test_headers_without_the_body_are_refused),
		cmocka_unit_test(test_a_hook_knows_what_is_new),
		cmocka_unit_test(test_a_hook_calls_the_spool),
		cmocka_unit_test(test_init_is_too_early),
	};

	return cmocka_run_group_tests_name(
		"spool-hooks", tests, test_spool_setup, test_spool_teardown);
}
