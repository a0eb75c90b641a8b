/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The file store: changing what is stored. The old message stays the truth until
   the new headers are durable, and of two who change it one wins. */

#include "config.h"
#include "istream.h"
#include "test-faults.h"
#include "test-spool-common.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

static const char wire[] = TEST_SPOOL_WIRE;
static const char longer[] =
	"Subject: another\r\n\r\nmuch longer than before\r\n.\r\n";

static void put(struct spool *spool, message_id *id_r)
{
	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, id_r),
			 IO_DONE);
}

static email_message *get(struct spool *spool, const message_id *id)
{
	email_message *message;

	if (spool_get(spool, id, &message) != IO_DONE)
		fail_msg("%s", io_get_error());
	return message;
}

static void get_longer(struct spool *spool, const message_id *id)
{
	email_message *message = get(spool, id);

	assert_int_equal(test_spool_write_body(spool, message, longer),
			 IO_DONE);
	assert_int_equal(test_spool_write_headers(spool, message), IO_DONE);
	email_message_unref(&message);
}

/* Fails at this call; whether it came so far. */
static bool rewrite_fails(struct spool *spool, email_message *message,
			  enum test_op op, unsigned int n)
{
	int answer;

	test_faults_begin();
	test_faults.fail_at[op] = n;
	test_faults.fail_errno[op] = EIO;
	answer = test_spool_write_body(spool, message, longer);
	if (answer == IO_DONE)
		answer = test_spool_write_headers(spool, message);
	test_faults_end();
	if (answer != IO_DONE)
		assert_int_equal(answer, IO_TRANS_FAIL);
	return answer != IO_DONE;
}

/* Behind the rename, too, where the new version may be there: the message that was told
   "no" can be written again, as often as it takes, and others are others. */
static void test_again_after_an_error(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("gzip");
	email_message *message, *other;
	unsigned int n, i;
	message_id id;

	for (n = 1;; n++) {
		put(spool, &id);
		message = get(spool, &id);
		other = get(spool, &id);
		for (i = 0; i < 2; i++) {
			if (!rewrite_fails(spool, message, TEST_OP_FSYNC_DIR,
					   n))
				break;
		}
		if (i == 0)
			break;
		assert_int_equal(test_spool_write_headers(spool, message),
				 IO_DONE);
		assert_int_equal(email_message_get_version(message), 2);
		assert_int_equal(test_spool_write_headers(spool, other),
				 IO_FAIL);
		assert_int_equal(io_get_errno(), EBUSY);
		test_spool_must_have(spool, &id, n == 1 ? wire : longer,
				     n == 1 ? sizeof(wire) - 1 :
					      sizeof(longer) - 1);
		email_message_unref(&message);
		email_message_unref(&other);
	}
	assert_int_equal(n, 3);
	email_message_unref(&message);
	email_message_unref(&other);
	spool_close(&spool);
}

/* Headers that fail from the so-manieth opening on, and with the first sync of a directory. */
static void write_headers_fails(struct spool *spool, email_message *message,
				unsigned int open)
{
	test_faults_begin();
	test_faults.fail_at[TEST_OP_FSYNC_DIR] = 1;
	test_faults.fail_errno[TEST_OP_FSYNC_DIR] = EIO;
	test_faults.fail_at[TEST_OP_OPEN] = open;
	test_faults.fail_errno[TEST_OP_OPEN] = EIO;
	test_faults.fail_after = true;
	assert_int_equal(test_spool_write_headers(spool, message),
			 IO_TRANS_FAIL);
	test_faults_end();
}

/* Nor where the disk cannot be asked what is there, and where a try that comes to nothing is
   behind one that stands. */
static void test_again_after_more_errors(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	email_message *message;
	message_id id;

	put(spool, &id);
	message = get(spool, &id);
	/* behind the bucket, the stored headers, the temporary file */
	write_headers_fails(spool, message, 4);
	assert_int_equal(email_message_set_value(message, "x", "y", "z"), 0);
	write_headers_fails(spool, message, 3);
	write_headers_fails(spool, message, 2);
	assert_int_equal(test_spool_write_headers(spool, message), IO_DONE);
	assert_int_equal(email_message_get_version(message), 2);
	email_message_unref(&message);
	message = get(spool, &id);
	assert_string_equal(email_message_get_value(message, "x", "y"), "z");
	email_message_unref(&message);
	spool_close(&spool);
}

/* What failed before the rename is not there: then it is another one's that is. */
static void test_another_one_after_an_error(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("gzip");
	email_message *message, *other;
	message_id id;

	put(spool, &id);
	message = get(spool, &id);
	other = get(spool, &id);
	assert_true(rewrite_fails(spool, message, TEST_OP_RENAME, 2));
	assert_int_equal(test_spool_write_headers(spool, other), IO_DONE);
	assert_int_equal(test_spool_write_headers(spool, message), IO_FAIL);
	assert_int_equal(io_get_errno(), EBUSY);
	email_message_unref(&message);
	/* nor is it what a later try of this one finds, that went well before */
	assert_true(rewrite_fails(spool, other, TEST_OP_FSYNC_DIR, 2));
	assert_int_equal(test_spool_write_headers(spool, other), IO_DONE);
	message = get(spool, &id);
	assert_int_equal(test_spool_write_headers(spool, message), IO_DONE);
	assert_int_equal(test_spool_write_headers(spool, other), IO_FAIL);
	assert_int_equal(io_get_errno(), EBUSY);
	email_message_unref(&message);
	email_message_unref(&other);
	test_spool_must_have(spool, &id, longer, sizeof(longer) - 1);
	spool_close(&spool);
}

static void test_headers(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("gzip");
	email_message *first, *second;
	message_id id;

	put(spool, &id);
	first = get(spool, &id);
	second = get(spool, &id);
	assert_int_equal(email_message_get_version(first), 1);
	(void)email_message_set_recipient_state(
		first, 0, EMAIL_RECIPIENT_DELIVERED, "250 ok");
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, first, 1),
			 IO_DONE);
	/* two writers of one version: the other one is told */
	assert_int_equal(test_spool_write_headers(spool, second), IO_FAIL);
	assert_non_null(strstr(io_get_error(), "another writer"));
	assert_int_equal(io_get_errno(), EBUSY);
	email_message_unref(&first);
	email_message_unref(&second);
	first = get(spool, &id);
	assert_int_equal(email_message_get_version(first), 2);
	assert_int_equal(email_message_get_recipient_state(first, 0, NULL),
			 EMAIL_RECIPIENT_DELIVERED);
	email_message_unref(&first);
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	spool_close(&spool);
}

/* Through several bodies, each of them the truth once its headers are written. */
static void test_bodies(void **state ATTR_UNUSED)
{
	static const char *const texts[] = { longer, wire, wire, longer };
	static const char *const stacks[] = { "", "gzip" };
	const char *before = wire;
	email_message *message;
	struct spool *spool;
	message_id id;
	size_t s, i;

	for (s = 0; s < N_ELEMENTS(stacks); s++, before = wire) {
		spool = test_spool_new(stacks[s]);
		put(spool, &id);
		for (i = 0; i < N_ELEMENTS(texts); i++) {
			message = get(spool, &id);
			assert_int_equal(test_spool_write_body(spool, message,
							       texts[i]),
					 IO_DONE);
			test_spool_must_have(spool, &id, before,
					     strlen(before));
			assert_int_equal(test_spool_write_headers(spool,
								  message),
					 IO_DONE);
			assert_int_equal(email_message_get_version(message),
					 i + 2);
			email_message_unref(&message);
			test_spool_must_have(spool, &id, texts[i],
					     strlen(texts[i]));
			/* nothing is left of what was before */
			assert_int_equal(test_spool_count_files(&id), 2);
			before = texts[i];
		}
		assert_int_equal(test_spool_damaged(spool, NULL), 0);
		assert_int_equal(test_spool_scan_again(&spool), 1);
		assert_int_equal(test_spool_count_files(&id), 2);
		assert_int_equal(spool_remove(spool, &id), IO_DONE);
		assert_int_equal(test_spool_count_files(&id), 0);
		spool_close(&spool);
	}
}

/* Whoever has a later version than the store has, which somebody took back to an earlier
   one, is another writer, too. */
static void test_a_version_that_was_taken_back(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	email_message *message;
	buffer_t *before;
	char path[512];
	message_id id;

	put(spool, &id);
	test_spool_file(&id, ".h", path);
	before = test_read_file(path);
	message = get(spool, &id);
	assert_int_equal(test_spool_write_headers(spool, message), IO_DONE);
	assert_int_equal(test_spool_write_headers(spool, message), IO_DONE);
	test_write_file(path, before->data, before->used);
	buffer_free(&before);
	assert_int_equal(test_spool_write_headers(spool, message), IO_FAIL);
	assert_int_equal(io_get_errno(), EBUSY);
	email_message_unref(&message);
	message = get(spool, &id);
	assert_int_equal(email_message_get_version(message), 1);
	email_message_unref(&message);
	spool_close(&spool);
}

/* A reader goes on with what it opened. */
static void test_reader_keeps_its_body(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	const unsigned char *data;
	email_message *reader, *writer;
	message_id id;
	size_t size;

	put(spool, &id);
	reader = get(spool, &id);
	writer = get(spool, &id);
	assert_int_equal(test_spool_write_body(spool, writer, longer), IO_DONE);
	assert_int_equal(test_spool_write_headers(spool, writer), IO_DONE);
	email_message_unref(&writer);
	assert_int_equal(i_stream_read_bytes(reader->body, &data, &size,
					     sizeof(wire) - 1),
			 1);
	assert_memory_equal(data, wire, sizeof(wire) - 1);
	email_message_unref(&reader);
	spool_close(&spool);
}

/* Given up halfway, or overtaken: the old body stays, and the new one goes. */
static void test_body_without_its_headers(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	email_message *slow, *quick;
	message_id id;

	put(spool, &id);
	slow = get(spool, &id);
	quick = get(spool, &id);
	assert_int_equal(test_spool_write_body(spool, slow, longer), IO_DONE);
	assert_int_equal(test_spool_write_headers(spool, quick), IO_DONE);
	assert_int_equal(test_spool_write_headers(spool, slow), IO_FAIL);
	email_message_unref(&slow);
	email_message_unref(&quick);
	assert_int_equal(test_spool_count_files(&id), 3);
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	spool_close(&spool);
	spool = test_spool_open(0);
	assert_int_equal(test_spool_scan(spool), 1);
	assert_int_equal(test_spool_count_files(&id), 2);
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	spool_close(&spool);
}

static void copy_file(const char *from, const char *to)
{
	buffer_t *data = test_read_file(from);

	test_write_file(to, data->data, data->used);
	buffer_free(&data);
}

/* The headers are durable, and then the power goes: both bodies are there. */
static void test_both_bodies_after_a_crash(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	char path[512], kept[512];
	message_id id;

	put(spool, &id);
	test_spool_file(&id, ".b", path);
	(void)snprintf(kept, sizeof(kept), "%s", test_path("kept"));
	copy_file(path, kept);
	get_longer(spool, &id);
	spool_close(&spool);
	copy_file(kept, path);
	spool = test_spool_open(0);
	test_spool_must_have(spool, &id, longer, sizeof(longer) - 1);
	assert_int_equal(test_spool_scan(spool), 1);
	assert_int_equal(test_spool_count_files(&id), 2);
	test_spool_must_have(spool, &id, longer, sizeof(longer) - 1);
	spool_close(&spool);
}

/* Who has lost the body that the headers speak of needs what else there is: it stays where the
   own one is damaged, and goes into quarantine with the headers where that is missing. */
static void test_no_body_goes_where_its_own_is_lost(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	char first[512], stray[512];
	message_id id;

	put(spool, &id);
	test_spool_file(&id, ".b", first);
	get_longer(spool, &id);
	spool_close(&spool);
	test_spool_file(&id, ".0123456789abcdef.b", stray);
	test_write_file(first, "first", 5);
	test_write_file(stray, "stray", 5);
	assert_int_equal(test_command("cp -r %s %s; cd %s/messages/?? && "
				      "truncate -s 9 $(grep -l longer *.b)",
				      test_spool_dir(), test_path("whole"),
				      test_spool_dir()),
			 0);
	spool = test_spool_open(0);
	assert_int_equal(test_spool_scan(spool), 1);
	assert_int_equal(access(first, F_OK), 0);
	assert_int_equal(access(stray, F_OK), 0);
	spool_close(&spool);

	assert_int_equal(test_command("cd %s/messages/?? && rm $(ls *.b | "
				      "grep -v 0123456789abcdef.b)",
				      test_spool_dir()),
			 0);
	spool = test_spool_open(0);
	assert_int_equal(test_spool_scan(spool), 0);
	assert_int_equal(test_spool_count_files(&id), 0);
	spool_close(&spool);
	assert_int_equal(test_command("grep -q stray %s/quarantine/*.b",
				      test_spool_dir()),
			 0);
	/* where it is whole they are one too many */
	assert_int_equal(test_command("rm -r %s && mv %s %s", test_spool_dir(),
				      test_path("whole"), test_spool_dir()),
			 0);
	spool = test_spool_open(0);
	assert_int_equal(test_spool_scan(spool), 1);
	assert_int_equal(test_spool_count_files(&id), 2);
	test_spool_must_have(spool, &id, longer, sizeof(longer) - 1);
	spool_close(&spool);
}

/* Damaged headers do not tell which body is theirs: none is thrown away. */
static void test_quarantine_keeps_all_bodies(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	char path[512];
	message_id id;

	put(spool, &id);
	get_longer(spool, &id);
	spool_close(&spool);
	test_spool_file(&id, ".h", path);
	assert_int_equal(truncate(path, 30), 0);
	spool = test_spool_open(0);
	assert_int_equal(test_spool_scan(spool), 0);
	assert_int_equal(test_spool_scan(spool), 0);
	assert_int_equal(test_spool_count_files(&id), 0);
	spool_close(&spool);
	assert_int_equal(test_command("cd %s/quarantine && ls *.h *.h.why && "
				      "grep -q 'much longer' *.b",
				      test_spool_dir()),
			 0);
}

/* Whatever fails: the old message or the new one, whole. */
static void test_every_failing_call(void **state ATTR_UNUSED)
{
	static const enum test_op ops[] = { TEST_OP_OPEN,      TEST_OP_WRITE,
					    TEST_OP_FDATASYNC, TEST_OP_CLOSE,
					    TEST_OP_FSYNC_DIR, TEST_OP_RENAME,
					    TEST_OP_UNLINK,    TEST_OP_FSTAT };
	struct spool *spool = test_spool_new("gzip");
	email_message *message;
	unsigned int n, hit;
	message_id id;
	size_t i;
	int answer;

	for (i = 0; i < N_ELEMENTS(ops); i++) {
		TEST_EACH_CALL(n, hit) {
			put(spool, &id);
			message = get(spool, &id);
			test_faults_begin();
			test_faults.fail_at[ops[i]] = n;
			test_faults.fail_errno[ops[i]] = EIO;
			answer = test_spool_write_body(spool, message, longer);
			if (answer == IO_DONE)
				answer = test_spool_write_headers(spool,
								  message);
			hit = test_faults.calls[ops[i]];
			test_faults_end();
			email_message_unref(&message);
			message = get(spool, &id);
			if (answer == IO_DONE ||
			    email_message_get_version(message) == 2)
				test_spool_must_have(spool, &id, longer,
						     sizeof(longer) - 1);
			else
				test_spool_must_have(spool, &id, wire,
						     sizeof(wire) - 1);
			email_message_unref(&message);
		}
	}
	assert_int_equal(test_spool_damaged(spool, NULL), 0);
	spool_close(&spool);
}

/* Headers never speak of a body that is not there. */
static void test_body_is_gone(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	email_message *message, *again;
	char path[512];
	message_id id;

	spool_new_id(spool, &id);
	message = email_message_new(&id);
	assert_int_equal(test_spool_write_body(spool, message, wire), IO_DONE);
	test_spool_file(&id, ".b", path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(test_spool_write_headers(spool, message),
			 IO_TRANS_FAIL);
	assert_non_null(strstr(io_get_error(), "write it again"));
	assert_int_equal(spool_get(spool, &id, &again), IO_FAIL);
	assert_int_equal(test_spool_write_body(spool, message, wire), IO_DONE);
	assert_int_equal(test_spool_write_headers(spool, message), IO_DONE);
	email_message_unref(&message);
	spool_close(&spool);
}

/* Without the headers of this store nobody knows what is to be changed. */
static void test_stranger(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	email_message *message;
	message_id id;

	put(spool, &id);
	message = email_message_new(&id);
	email_message_set_version(message, 1);
	assert_int_equal(test_spool_write_body(spool, message, longer),
			 IO_FAIL);
	assert_non_null(strstr(io_get_error(), "read them"));
	email_message_unref(&message);
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	spool_close(&spool);
}

/*
 * Threads
 */

#define THREADS 4
#define ROUNDS 20

struct race {
	struct spool *spool;
	message_id id;
	pthread_barrier_t barrier;
	atomic_uint won, told;
};

static void *rewriter(void *context)
{
	struct race *race = context;
	email_message *message;
	unsigned int i;

	for (i = 0; i < ROUNDS; i++) {
		message = get(race->spool, &race->id);
		if (i % 4 == 3)
			assert_int_equal(test_spool_write_body(race->spool,
							       message, longer),
					 IO_DONE);
		(void)pthread_barrier_wait(&race->barrier);
		if (test_spool_write_headers(race->spool, message) == IO_DONE)
			atomic_fetch_add(&race->won, 1);
		else if (strstr(io_get_error(), "another writer") != NULL)
			atomic_fetch_add(&race->told, 1);
		email_message_unref(&message);
		(void)pthread_barrier_wait(&race->barrier);
	}
	return NULL;
}

static void test_one_writer_wins(void **state ATTR_UNUSED)
{
	struct race race = { .spool = test_spool_new("") };
	pthread_t threads[THREADS];
	email_message *message;
	unsigned int i;

	put(race.spool, &race.id);
	assert_int_equal(pthread_barrier_init(&race.barrier, NULL, THREADS), 0);
	for (i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, rewriter, &race), 0);
	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	(void)pthread_barrier_destroy(&race.barrier);
	assert_int_equal(atomic_load(&race.won), ROUNDS);
	assert_int_equal(atomic_load(&race.told), ROUNDS * (THREADS - 1));
	message = get(race.spool, &race.id);
	assert_int_equal(email_message_get_version(message), ROUNDS + 1);
	email_message_unref(&message);
	test_spool_must_have(race.spool, &race.id, longer, sizeof(longer) - 1);
	spool_close(&race.spool);
}

static void *remover(void *context)
{
	struct race *race = context;

	(void)pthread_barrier_wait(&race->barrier);
	assert_int_equal(spool_remove(race->spool, &race->id), IO_DONE);
	return NULL;
}

/* A message that is removed while somebody changes it does not come back. */
static void test_removed_while_it_changes(void **state ATTR_UNUSED)
{
	struct race race = { .spool = test_spool_new("") };
	email_message *message, *again;
	pthread_t thread;
	unsigned int i;

	assert_int_equal(pthread_barrier_init(&race.barrier, NULL, 2), 0);
	for (i = 0; i < ROUNDS; i++) {
		put(race.spool, &race.id);
		message = get(race.spool, &race.id);
		assert_int_equal(pthread_create(&thread, NULL, remover, &race),
				 0);
		(void)pthread_barrier_wait(&race.barrier);
		(void)test_spool_write_headers(race.spool, message);
		assert_int_equal(pthread_join(thread, NULL), 0);
		email_message_unref(&message);
		assert_int_equal(spool_get(race.spool, &race.id, &again),
				 IO_FAIL);
	}
	(void)pthread_barrier_destroy(&race.barrier);
	spool_close(&race.spool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_again_after_an_error),
		cmocka_unit_test(test_again_after_more_errors),
		cmocka_unit_test(test_another_one_after_an_error),
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_a_version_that_was_taken_back),
		cmocka_unit_test(test_reader_keeps_its_body),
		cmocka_unit_test(test_body_without_its_headers),
		cmocka_unit_test(test_both_bodies_after_a_crash),
		cmocka_unit_test(test_no_body_goes_where_its_own_is_lost),
		cmocka_unit_test(test_quarantine_keeps_all_bodies),
		cmocka_unit_test(test_every_failing_call),
		cmocka_unit_test(test_body_is_gone),
		cmocka_unit_test(test_stranger),
		cmocka_unit_test(test_one_writer_wins),
		cmocka_unit_test(test_removed_while_it_changes),
	};

	return cmocka_run_group_tests_name("module-file-rewrite", tests,
					   test_spool_setup,
					   test_spool_teardown);
}
