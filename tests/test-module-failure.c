/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The modules that store nothing: one fails at one call and nowhere else, one does
   nothing at all. */

#include "config.h"
#include "email-message.h"
#include "spool-modules.h"
#include "test-common.h"

#include <pthread.h>
#include <stdatomic.h>

#define OPERATIONS (IO_OP_UNLINKBODY + 1)

static int call(io_infrastructure *io, unsigned int operation,
		email_message *message)
{
	switch (operation) {
	case IO_OP_WRITEHEADERS:
		return io->io_writeheaders(io, IO_SYNCHRONOUS, message, 0);
	case IO_OP_READHEADERS:
		return io->io_readheaders(io, IO_ASYNCHRONOUS, message);
	case IO_OP_UNLINKHEADERS:
		return io->io_unlinkheaders(io, IO_SYNCHRONOUS,
					    &message->message_id);
	case IO_OP_WRITEBODY:
		return io->io_writebody(io, IO_ASYNCHRONOUS, message, 1);
	case IO_OP_READBODY:
		return io->io_readbody(io, IO_SYNCHRONOUS, message);
	default:
		return io->io_unlinkbody(io, IO_SYNCHRONOUS,
					 &message->message_id);
	}
}

static email_message *some_message(void)
{
	message_id id;

	memset(&id, 7, sizeof(id));
	return email_message_new(&id);
}

/* The nth call of this operation, whatever else is called in between. */
static void test_one_call_of_one_operation(void **state ATTR_UNUSED)
{
	static const int answers[] = { IO_FAIL, IO_TRANS_FAIL, IO_DONE, 42 };
	email_message *message = some_message();
	io_infrastructure *io;
	unsigned int operation, nth, round, op;
	size_t i;
	int want;

	for (operation = 0; operation < OPERATIONS; operation++) {
		for (nth = 1; nth <= 3; nth++) {
			for (i = 0; i < N_ELEMENTS(answers); i++) {
				io = spool_module_failure_new(operation, nth,
							      answers[i]);
				for (round = 1; round <= 4; round++) {
					for (op = 0; op < OPERATIONS; op++) {
						want = op == operation &&
								round == nth ?
							answers[i] :
							IO_CONT;
						io_set_error("%s", "");
						assert_int_equal(call(io, op,
								      message),
								 want);
						assert_string_equal(
							io_get_error(),
							want == IO_CONT ?
								"" :
								"failing on "
								"purpose");
					}
				}
				/* it finds nothing, and closes nothing */
				assert_null(io->io_process_disk_queue);
				io->shared.deinit(io);
			}
		}
	}
	email_message_unref(&message);
}

static void test_never(void **state ATTR_UNUSED)
{
	io_infrastructure *io =
		spool_module_failure_new(IO_OP_READBODY, 0, IO_FAIL);
	email_message *message = some_message();
	unsigned int i;

	for (i = 0; i < 10; i++)
		assert_int_equal(call(io, IO_OP_READBODY, message), IO_CONT);
	email_message_unref(&message);
	io->shared.deinit(io);
}

static void test_null_goes_on(void **state ATTR_UNUSED)
{
	io_infrastructure *io = spool_module_null_new();
	email_message *message = some_message();
	unsigned int op;

	for (op = 0; op < OPERATIONS; op++)
		assert_int_equal(call(io, op, message), IO_CONT);
	assert_int_equal(io->io_close(io), IO_DONE);
	assert_null(io->io_process_disk_queue);
	email_message_unref(&message);
	io->shared.deinit(io);
}

/*
 * Threads: exactly one of them meets it.
 */

#define THREADS 8
#define EACH 100

struct shared {
	io_infrastructure *io;
	pthread_barrier_t start;
	atomic_uint failed;
};

static void *caller(void *context)
{
	struct shared *shared = context;
	email_message *message = some_message();
	unsigned int i;

	(void)pthread_barrier_wait(&shared->start);
	for (i = 0; i < EACH; i++) {
		if (call(shared->io, IO_OP_WRITEBODY, message) == IO_FAIL)
			atomic_fetch_add(&shared->failed, 1);
	}
	email_message_unref(&message);
	return NULL;
}

static void test_one_of_many_threads(void **state ATTR_UNUSED)
{
	struct shared shared = { .io = spool_module_failure_new(
					 IO_OP_WRITEBODY, THREADS * EACH / 2,
					 IO_FAIL) };
	pthread_t threads[THREADS];
	unsigned int i;

	assert_int_equal(pthread_barrier_init(&shared.start, NULL, THREADS), 0);
	for (i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, caller, &shared), 0);
	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(atomic_load(&shared.failed), 1);
	(void)pthread_barrier_destroy(&shared.start);
	shared.io->shared.deinit(shared.io);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_call_of_one_operation),
		cmocka_unit_test(test_never),
		cmocka_unit_test(test_null_goes_on),
		cmocka_unit_test(test_one_of_many_threads),
	};

	return cmocka_run_group_tests_name("module-failure", tests, NULL, NULL);
}
