/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The memory module: the answers of a native store, without a disk. */

#include "config.h"
#include "istream.h"
#include "spool-modules.h"
#include "test-spool-common.h"
#include "test-stream-common.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

static const char wire[] = TEST_SPOOL_WIRE;

static message_id id_of(unsigned int n)
{
	message_id id;

	memset(&id, 0, sizeof(id));
	id.bytes[0] = (unsigned char)(n >> 8);
	id.bytes[15] = (unsigned char)n;
	return id;
}

static email_message *new_message(const message_id *id, const char *body)
{
	email_message *message = email_message_new(id);
	struct istream *input = i_stream_create_from_data(body, strlen(body));

	(void)email_message_set_sender(message, "a@example.org");
	(void)email_message_add_recipient(message, "b@example.org");
	email_message_set_body(message, input, 0);
	i_stream_unref(&input);
	return message;
}

static int write_body(io_infrastructure *io, email_message *message)
{
	io_set_error("%s", "");
	return io->io_writebody(io, IO_SYNCHRONOUS, message, 0);
}

/* As the chain does: the version counts the writes. */
static int write_headers(io_infrastructure *io, email_message *message)
{
	uint64_t version = email_message_get_version(message);
	int answer;

	io_set_error("%s", "");
	email_message_set_version(message, version + 1);
	answer = io->io_writeheaders(io, IO_SYNCHRONOUS, message, 0);
	if (answer != IO_DONE)
		email_message_set_version(message, version);
	return answer;
}

static void put(io_infrastructure *io, const message_id *id, const char *body)
{
	email_message *message = new_message(id, body);

	assert_int_equal(write_body(io, message), IO_DONE);
	assert_int_equal(write_headers(io, message), IO_DONE);
	email_message_unref(&message);
}

static email_message *get(io_infrastructure *io, const message_id *id)
{
	email_message *message = email_message_new(id);

	assert_int_equal(io->io_readheaders(io, IO_SYNCHRONOUS, message),
			 IO_DONE);
	assert_int_equal(io->io_readbody(io, IO_SYNCHRONOUS, message), IO_DONE);
	return message;
}

static void must_have(io_infrastructure *io, const message_id *id,
		      const char *body)
{
	buffer_t *out = buffer_create_dynamic(default_pool, 256);
	email_message *message = get(io, id);

	assert_int_equal(message->body_len, strlen(body));
	assert_int_equal(test_read_all(message->body, out), 0);
	assert_int_equal(out->used, strlen(body));
	assert_memory_equal(out->data, body, out->used);
	buffer_free(&out);
	email_message_unref(&message);
}

static void free_module(io_infrastructure *io)
{
	io->shared.deinit(io);
}

static void test_comes_back_as_a_copy(void **state ATTR_UNUSED)
{
	io_infrastructure *io = spool_module_memory_new();
	message_id id = id_of(1);
	email_message *message = new_message(&id, wire), *got;

	email_message_set_arrival(message, 77);
	assert_int_equal(write_body(io, message), IO_DONE);
	assert_int_equal(message->body_len, strlen(wire));
	assert_int_equal(write_headers(io, message), IO_DONE);
	/* what becomes of the message is no business of the module's */
	email_message_set_arrival(message, 78);
	email_message_clear(message);
	email_message_unref(&message);
	got = get(io, &id);
	assert_string_equal(email_message_get_sender(got), "a@example.org");
	assert_int_equal(email_message_get_arrival(got), 77);
	assert_int_equal(email_message_get_version(got), 1);
	/* and a reader keeps its body */
	assert_int_equal(io->io_unlinkheaders(io, IO_SYNCHRONOUS, &id),
			 IO_DONE);
	assert_int_equal(io->io_unlinkbody(io, IO_SYNCHRONOUS, &id), IO_DONE);
	free_module(io);
	{
		const unsigned char *data;
		size_t size;

		assert_int_equal(i_stream_read_bytes(got->body, &data, &size,
						     sizeof(wire) - 1),
				 1);
		assert_memory_equal(data, wire, sizeof(wire) - 1);
	}
	email_message_unref(&got);
}

static void test_absent_messages(void **state ATTR_UNUSED)
{
	io_infrastructure *io = spool_module_memory_new();
	message_id id = id_of(1), other = id_of(2);
	email_message *message = email_message_new(&id);
	unsigned int i;

	put(io, &other, wire);
	for (i = 0; i < 3; i++) {
		assert_int_equal(io->io_unlinkheaders(io, IO_SYNCHRONOUS, &id),
				 IO_CONT);
		assert_int_equal(io->io_unlinkbody(io, IO_SYNCHRONOUS, &id),
				 IO_CONT);
		assert_int_equal(io->io_readheaders(io, IO_SYNCHRONOUS,
						    message),
				 IO_FAIL);
		assert_int_equal(io_get_errno(), ENOENT);
		assert_int_equal(io->io_readbody(io, IO_SYNCHRONOUS, message),
				 IO_FAIL);
		assert_int_equal(io_get_errno(), ENOENT);
	}
	email_message_unref(&message);
	must_have(io, &other, wire);
	free_module(io);
}

static void test_parts_are_removed_in_order(void **state ATTR_UNUSED)
{
	io_infrastructure *io = spool_module_memory_new();
	message_id id = id_of(1);

	put(io, &id, wire);
	/* never headers without their body */
	assert_int_equal(io->io_unlinkbody(io, IO_SYNCHRONOUS, &id), IO_FAIL);
	assert_non_null(strstr(io_get_error(), "before the body"));
	must_have(io, &id, wire);
	assert_int_equal(io->io_unlinkheaders(io, IO_SYNCHRONOUS, &id),
			 IO_DONE);
	assert_int_equal(io->io_unlinkheaders(io, IO_SYNCHRONOUS, &id),
			 IO_CONT);
	assert_int_equal(io->io_unlinkbody(io, IO_SYNCHRONOUS, &id), IO_DONE);
	assert_int_equal(io->io_unlinkbody(io, IO_SYNCHRONOUS, &id), IO_CONT);
	free_module(io);
}

/* 9: of two writers of one id one wins, and the other is told. */
static void test_two_writers(void **state ATTR_UNUSED)
{
	io_infrastructure *io = spool_module_memory_new();
	message_id id = id_of(1);
	email_message *first, *second;

	put(io, &id, wire);
	second = new_message(&id, "other\r\n.\r\n");
	assert_int_equal(write_body(io, second), IO_FAIL);
	assert_non_null(strstr(io_get_error(), "already"));
	assert_int_equal(io_get_errno(), EEXIST);
	assert_int_equal(write_headers(io, second), IO_FAIL);
	assert_int_equal(io_get_errno(), EEXIST);
	email_message_unref(&second);
	must_have(io, &id, wire);

	first = get(io, &id);
	second = get(io, &id);
	assert_int_equal(write_headers(io, first), IO_DONE);
	assert_int_equal(write_headers(io, second), IO_FAIL);
	assert_non_null(strstr(io_get_error(), "another writer"));
	assert_int_equal(io_get_errno(), EBUSY);
	assert_int_equal(write_headers(io, first), IO_DONE);
	assert_int_equal(email_message_get_version(first), 3);
	email_message_unref(&first);
	email_message_unref(&second);
	must_have(io, &id, wire);
	free_module(io);
}

static int go_on(io_infrastructure *io ATTR_UNUSED,
		 io_caller caller ATTR_UNUSED,
		 email_message *message ATTR_UNUSED, int force ATTR_UNUSED)
{
	return IO_CONT;
}

static int must_not_be_told(io_infrastructure *io ATTR_UNUSED,
			    io_caller caller ATTR_UNUSED,
			    message_id *id ATTR_UNUSED)
{
	fail_msg("told to forget a message that is stored");
	return IO_CONT;
}

/* Through a chain the loser does not take the winner's message with it, nor what the module
   in front has of it. */
static void test_the_loser_is_undone_alone(void **state ATTR_UNUSED)
{
	struct spool *spool = spool_new();
	io_infrastructure *io = spool_module_memory_new();
	io_infrastructure front = {
		.shared = SPOOL_MODULE_SHARED("front", "", ""),
		.io_writebody = go_on,
		.io_writeheaders = go_on,
		.io_unlinkheaders = must_not_be_told,
		.io_unlinkbody = must_not_be_told,
	};
	message_id id = id_of(1);
	email_message *message;
	char *error;

	assert_int_equal(spool_add_module(spool, &front, NULL, &error), 0);
	assert_int_equal(spool_add_module(spool, io, NULL, &error), 0);
	assert_int_equal(test_spool_put_as(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	assert_int_equal(test_spool_put_as(spool, "x\r\n.\r\n", 6, &id),
			 IO_FAIL);
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	message = new_message(&id, wire);
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0),
			 IO_FAIL);
	email_message_unref(&message);
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	spool_close(&spool);
}

/* A body that is not whole is not taken: nothing of it is there later. */
static void test_bodies_that_fail(void **state ATTR_UNUSED)
{
	static const struct {
		const char *name;
		int kind, answer;
		const char *error;
	} rows[] = {
		{ "none", 0, IO_FAIL, "no body" },
		{ "not there yet", 1, IO_TRANS_FAIL, "not there yet" },
		{ "EIO", 2, IO_TRANS_FAIL, "reading the body failed" },
		{ "damaged", 3, IO_FAIL, "reading the body failed" },
		{ "another length", 4, IO_FAIL, "29 octets where 30" },
	};
	io_infrastructure *io = spool_module_memory_new();
	struct istream *input, *parent;
	message_id id = id_of(1);
	email_message *message;
	size_t i;

	assert_int_equal(sizeof(wire) - 1, 29);
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		message = email_message_new(&id);
		parent = i_stream_create_from_data(wire, sizeof(wire) - 1);
		input = NULL;
		switch (rows[i].kind) {
		case 1:
			input = test_trickle_create(wire, sizeof(wire) - 1, 5,
						    true);
			break;
		case 2:
			input = i_stream_create_failure_at(parent, 9, EIO,
							   "it fails");
			break;
		case 3:
			input = i_stream_create_failure_at(parent, 9, EINVAL,
							   "it is damaged");
			break;
		case 4:
			input = parent;
			i_stream_ref(input);
			break;
		}
		email_message_set_body(message, input,
				       rows[i].kind == 4 ? 30 : 0);
		i_stream_unref(&input);
		i_stream_unref(&parent);
		if (write_body(io, message) != rows[i].answer)
			fail_msg("%s: another answer", rows[i].name);
		if (strstr(io_get_error(), rows[i].error) == NULL)
			fail_msg("%s: %s", rows[i].name, io_get_error());
		assert_int_equal(io->io_unlinkbody(io, IO_SYNCHRONOUS, &id),
				 IO_CONT);
		email_message_unref(&message);
	}
	free_module(io);
}

static void test_scan_hands_out_whole_messages(void **state ATTR_UNUSED)
{
	struct spool *spool = spool_new();
	io_infrastructure *io = spool_module_memory_new();
	message_id ids[] = { id_of(1), id_of(2), id_of(3) };
	email_message *message;
	char *error;

	assert_int_equal(spool_add_module(spool, io, NULL, &error), 0);
	put(io, &ids[0], wire);
	put(io, &ids[1], wire);
	message = new_message(&ids[2], wire);
	assert_int_equal(write_body(io, message), IO_DONE);
	email_message_unref(&message);
	assert_int_equal(test_spool_scan(spool), 2);
	assert_int_equal(test_spool_scan(spool), 2);
	assert_int_equal(spool_remove(spool, &ids[0]), IO_DONE);
	assert_int_equal(test_spool_scan(spool), 1);
	spool_close(&spool);
}

/*
 * Threads
 */

#define THREADS 4
#define EACH 50

struct shared {
	io_infrastructure *io;
	pthread_barrier_t start;
	atomic_uint next, won;
};

static void *writer(void *context)
{
	struct shared *shared = context;
	unsigned int i, mine = atomic_fetch_add(&shared->next, 1) * EACH;
	io_infrastructure *io = shared->io;
	message_id id, contested;
	email_message *message;
	bool ok = true;

	(void)pthread_barrier_wait(&shared->start);
	for (i = 0; i < EACH; i++) {
		id = id_of(mine + i);
		message = new_message(&id, wire);
		ok = ok && write_body(io, message) == IO_DONE &&
			write_headers(io, message) == IO_DONE;
		email_message_unref(&message);
		if (i % 5 == 4)
			ok = ok &&
				io->io_unlinkheaders(io, IO_SYNCHRONOUS, &id) ==
					IO_DONE &&
				io->io_unlinkbody(io, IO_SYNCHRONOUS, &id) ==
					IO_DONE;
		/* everybody wants this one */
		contested = id_of(0xff00 + i);
		message = new_message(&contested, wire);
		if (write_headers(io, message) == IO_DONE)
			atomic_fetch_add(&shared->won, 1);
		email_message_unref(&message);
	}
	return ok ? NULL : shared;
}

static void test_many_writers(void **state ATTR_UNUSED)
{
	struct shared shared = { .io = spool_module_memory_new() };
	struct spool *spool = spool_new();
	pthread_t threads[THREADS];
	void *result;
	unsigned int i;
	char *error;

	assert_int_equal(spool_add_module(spool, shared.io, NULL, &error), 0);
	assert_int_equal(pthread_barrier_init(&shared.start, NULL, THREADS), 0);
	for (i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, writer, &shared), 0);
	for (i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], &result), 0);
		assert_null(result);
	}
	(void)pthread_barrier_destroy(&shared.start);
	assert_int_equal(atomic_load(&shared.won), EACH);
	assert_int_equal(test_spool_scan(spool), THREADS * EACH * 4 / 5);
	spool_close(&spool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_comes_back_as_a_copy),
		cmocka_unit_test(test_absent_messages),
		cmocka_unit_test(test_parts_are_removed_in_order),
		cmocka_unit_test(test_two_writers),
		cmocka_unit_test(test_the_loser_is_undone_alone),
		cmocka_unit_test(test_bodies_that_fail),
		cmocka_unit_test(test_scan_hands_out_whole_messages),
		cmocka_unit_test(test_many_writers),
	};

	return cmocka_run_group_tests_name("module-memory", tests, NULL, NULL);
}
