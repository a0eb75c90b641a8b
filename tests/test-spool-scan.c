/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The scan at start-up: who runs it, what it hands out, and how it ends. Whatever is
   told of a message holds the scan until it returns: nothing here waits for time to
   pass. */

#include "config.h"
#include "istream.h"
#include "spool-modules.h"
#include "spool-private.h"
#include "test-spool-common.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/stat.h>

static const char wire[] = TEST_SPOOL_WIRE;

/*
 * What was handed out
 */

#define FOUND_MAX 2000

struct watch {
	struct spool *spool;
	struct spool *closing; /* the same, while close() has taken that */
	message_id found[FOUND_MAX];
	unsigned int count;
	unsigned int done; /* calls of done() */
	pthread_t thread;  /* of the last call */
	/* is called with each; false: what it wanted to do failed */
	bool (*act)(struct watch *watch, const message_id *id);
	bool failed;
	pthread_barrier_t barrier;
	message_id *ids; /* for act() */
	unsigned int id_count;
};

static void take_found(const message_id *id, void *context)
{
	struct watch *watch = context;

	watch->thread = pthread_self();
	if (watch->count == FOUND_MAX || watch->done > 0) {
		watch->failed = true;
		return;
	}
	watch->found[watch->count++] = *id;
	if (watch->act != NULL && !watch->act(watch, id))
		watch->failed = true;
}

static void take_done(void *context)
{
	struct watch *watch = context;

	watch->thread = pthread_self();
	watch->done++;
}

static unsigned int times_found(const struct watch *watch, const message_id *id)
{
	unsigned int i, times = 0;

	for (i = 0; i < watch->count; i++) {
		if (message_id_cmp(&watch->found[i], id) == 0)
			times++;
	}
	return times;
}

static void scan(struct watch *watch)
{
	watch->count = watch->done = 0;
	watch->failed = false;
	spool_start_scan(watch->spool, take_found, take_done, watch);
	spool_wait_scan(watch->spool);
	assert_false(watch->failed);
	assert_int_equal(watch->done, 1);
}

/* The native store, whose scans hand out what was there, after it was opened again. */
static void scan_again(struct watch *watch, bool native)
{
	if (native) {
		spool_close(&watch->spool);
		watch->spool = test_spool_open(0);
	}
	scan(watch);
}

/* Each of these, once, and nothing else. */
static void must_have_found(const struct watch *watch, const message_id *ids,
			    unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		if (times_found(watch, &ids[i]) != 1)
			fail_msg("message %u was found %u times", i,
				 times_found(watch, &ids[i]));
	}
	assert_int_equal(watch->count, count);
}

/* Messages that were there before this process, in the native store, or in a module
   in front. */
static struct spool *spool_with(bool native, message_id *ids,
				unsigned int count)
{
	struct spool *spool;
	char *error;

	if (native) {
		spool = test_spool_new("");
		test_spool_put_many(spool, ids, count);
		spool_close(&spool);
		return test_spool_open(0);
	}
	spool = spool_new();
	assert_int_equal(spool_add_module(spool, spool_module_memory_new(),
					  NULL, &error),
			 0);
	test_spool_put_many(spool, ids, count);
	return spool;
}

/*
 * Who runs it
 */

/* Modules that hand out ids of one byte, their own. */
struct one_module {
	io_infrastructure io;
	unsigned char byte;
	unsigned int runs;
};

static void *one_scan(io_infrastructure *io, void *scan_context)
{
	struct one_module *one = container_of(io, struct one_module, io);
	message_id id;

	one->runs++;
	memset(&id, one->byte, sizeof(id));
	spool_scan_found(scan_context, &id);
	/* the result is ignored */
	return one;
}

static void test_first_module_that_can_runs(void **state ATTR_UNUSED)
{
	static const shared_module_infrastructure shared =
		SPOOL_MODULE_SHARED("one", "a test", "hands out one id");
	static const struct {
		const char *name;
		bool can[3], native;
		int runs; /* -1: none of the three */
	} rows[] = {
		{ "all", { true, true, true }, true, 0 },
		{ "second and third", { false, true, true }, true, 1 },
		{ "third, no store", { false, false, true }, false, 2 },
		{ "store alone", { false, false, false }, true, -1 },
		{ "nobody", { false, false, false }, false, -1 },
	};
	struct one_module modules[3];
	static struct watch watch;
	message_id stored, id;
	unsigned int i, m;
	char *error;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		watch.spool = rows[i].native ? spool_with(true, &stored, 1) :
					       spool_new();
		for (m = 0; m < 3; m++) {
			memset(&modules[m], 0, sizeof(modules[m]));
			modules[m].io.shared = shared;
			modules[m].byte = (unsigned char)m;
			if (rows[i].can[m])
				modules[m].io.io_process_disk_queue = one_scan;
			assert_int_equal(spool_add_module(watch.spool,
							  &modules[m].io, NULL,
							  &error),
					 0);
		}
		scan(&watch);
		for (m = 0; m < 3; m++) {
			if (modules[m].runs != (rows[i].runs == (int)m))
				fail_msg("%s: module %u ran %u times",
					 rows[i].name, m, modules[m].runs);
		}
		memset(&id, rows[i].runs, sizeof(id));
		if (rows[i].runs >= 0)
			must_have_found(&watch, &id, 1);
		else
			must_have_found(&watch, &stored, rows[i].native);
		spool_close(&watch.spool);
	}
}

static void test_on_a_thread_of_its_own(void **state ATTR_UNUSED)
{
	static struct watch watch;
	message_id id;

	watch.spool = spool_with(true, &id, 1);
	/* nothing to wait for */
	spool_wait_scan(watch.spool);
	scan(&watch);
	must_have_found(&watch, &id, 1);
	assert_false(pthread_equal(watch.thread, pthread_self()));
	/* done() is optional */
	watch.count = watch.done = 0;
	spool_close(&watch.spool);
	watch.spool = test_spool_open(0);
	spool_start_scan(watch.spool, take_found, NULL, &watch);
	spool_wait_scan(watch.spool);
	assert_int_equal(watch.count, 1);
	spool_close(&watch.spool);
	/* and found() */
	watch.spool = test_spool_open(0);
	watch.count = watch.done = 0;
	spool_start_scan(watch.spool, NULL, take_done, &watch);
	spool_wait_scan(watch.spool);
	assert_int_equal(watch.done, 1);
	spool_close(&watch.spool);
}

/* Without a thread the mail is found all the same. */
static void test_without_a_thread(void **state ATTR_UNUSED)
{
	static struct watch watch;
	message_id id;

	watch.spool = spool_with(true, &id, 1);
	if (!test_threads_fail()) {
		spool_close(&watch.spool);
		return;
	}
	scan(&watch);
	test_threads_again();
	must_have_found(&watch, &id, 1);
	assert_true(pthread_equal(watch.thread, pthread_self()));
	spool_close(&watch.spool);
}

/*
 * What is told of a message uses the spool
 */

#define MESSAGES 20

static bool read_it(struct watch *watch, const message_id *id)
{
	email_message *message;

	if (spool_get(watch->spool, id, &message) != IO_DONE)
		return false;
	email_message_unref(&message);
	return true;
}

static bool change(struct watch *watch, const message_id *id, bool body)
{
	static const char other[] = "Subject: other\r\n\r\n.\r\n";
	struct istream *input;
	email_message *message;
	int answer = IO_DONE;

	if (spool_get(watch->spool, id, &message) != IO_DONE)
		return false;
	email_message_set_arrival(message, 1);
	if (body) {
		input = i_stream_create_from_data(other, sizeof(other) - 1);
		email_message_set_body(message, input, 0);
		i_stream_unref(&input);
		answer = spool_writebody(watch->spool, IO_SYNCHRONOUS, message,
					 0);
	}
	if (answer == IO_DONE)
		answer = spool_writeheaders(watch->spool, IO_SYNCHRONOUS,
					    message, 0);
	email_message_unref(&message);
	return answer == IO_DONE;
}

static bool change_headers(struct watch *watch, const message_id *id)
{
	return change(watch, id, false);
}

static bool change_body(struct watch *watch, const message_id *id)
{
	return change(watch, id, true);
}

static bool remove_it(struct watch *watch, const message_id *id)
{
	return spool_remove(watch->spool, id) == IO_DONE;
}

static void test_found_may_use_the_message(void **state ATTR_UNUSED)
{
	static const struct {
		const char *name;
		bool (*act)(struct watch *watch, const message_id *id);
		unsigned int left;
	} rows[] = {
		{ "read", read_it, MESSAGES },
		{ "headers", change_headers, MESSAGES },
		{ "body", change_body, MESSAGES },
		{ "remove", remove_it, 0 },
	};
	static struct watch watch;
	message_id ids[MESSAGES];
	unsigned int i, native;

	for (native = 0; native < 2; native++) {
		for (i = 0; i < N_ELEMENTS(rows); i++) {
			watch.spool = spool_with(native, ids, MESSAGES);
			watch.act = rows[i].act;
			scan(&watch);
			must_have_found(&watch, ids, MESSAGES);
			watch.act = NULL;
			scan_again(&watch, native);
			must_have_found(&watch, ids, rows[i].left);
			spool_close(&watch.spool);
		}
	}
}

/* A directory may show an entry again that was renamed while it is read. */
static struct dirent *shown_again;

static struct dirent *twice_readdir(DIR *dir)
{
	struct dirent *entry = shown_again;

	shown_again = NULL;
	if (entry != NULL)
		return entry;
	entry = file_ops_system.readdir(dir);
	/* files, not buckets: those keep their names */
	if (entry != NULL && strlen(entry->d_name) > 2)
		shown_again = entry;
	return entry;
}

static void test_a_directory_that_shows_twice(void **state ATTR_UNUSED)
{
	static struct watch watch;
	struct file_ops ops = file_ops_system;
	message_id ids[MESSAGES];
	unsigned int total;

	ops.readdir = twice_readdir;
	watch.spool = spool_with(true, ids, MESSAGES);
	file_ops_set(&ops);
	scan(&watch);
	(void)test_spool_damaged(watch.spool, &total);
	file_ops_set(NULL);
	must_have_found(&watch, ids, MESSAGES);
	assert_int_equal(total, MESSAGES);
	spool_close(&watch.spool);
}

/*
 * While mail arrives, changes and leaves
 */

/* Lets the other thread run while the first message is being told of. */
static bool hold_first(struct watch *watch, const message_id *id ATTR_UNUSED)
{
	if (watch->count == 1) {
		(void)pthread_barrier_wait(&watch->barrier);
		(void)pthread_barrier_wait(&watch->barrier);
	}
	return true;
}

struct worker {
	struct watch *watch;
	bool (*act)(struct watch *watch, const message_id *id);
	bool ok;
};

static void *work(void *context)
{
	struct worker *worker = context;
	unsigned int i;

	worker->ok = true;
	(void)pthread_barrier_wait(&worker->watch->barrier);
	for (i = 0; i < worker->watch->id_count; i++)
		worker->ok &=
			worker->act(worker->watch, &worker->watch->ids[i]);
	(void)pthread_barrier_wait(&worker->watch->barrier);
	return NULL;
}

static bool put_another(struct watch *watch, const message_id *id ATTR_UNUSED)
{
	message_id another;

	return test_spool_put(watch->spool, wire, sizeof(wire) - 1, &another) ==
		IO_DONE;
}

/* A scan that stands at its first message while this is done to all. */
static void scan_while(struct watch *watch,
		       bool (*act)(struct watch *watch, const message_id *id))
{
	struct worker worker = { .watch = watch, .act = act };
	pthread_t thread;

	assert_int_equal(pthread_barrier_init(&watch->barrier, NULL, 2), 0);
	assert_int_equal(pthread_create(&thread, NULL, work, &worker), 0);
	watch->act = hold_first;
	scan(watch);
	watch->act = NULL;
	assert_int_equal(pthread_join(thread, NULL), 0);
	(void)pthread_barrier_destroy(&watch->barrier);
	assert_true(worker.ok);
}

/* All buckets, so that most of them are still to be read at the first message. */
static void make_buckets(void)
{
	static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
	char path[512];
	unsigned int i;

	for (i = 0; i < 1024; i++) {
		(void)snprintf(path, sizeof(path), "%s/messages/%c%c",
			       test_spool_dir(), digits[i / 32],
			       digits[i % 32]);
		(void)mkdir(path, 0700);
	}
}

static void test_while_mail_arrives(void **state ATTR_UNUSED)
{
	static struct watch watch;
	message_id ids[MESSAGES];
	unsigned int native;

	for (native = 0; native < 2; native++) {
		watch.spool = spool_with(native, ids, MESSAGES);
		if (native)
			make_buckets();
		watch.ids = ids;
		watch.id_count = MESSAGES;
		scan_while(&watch, put_another);
		must_have_found(&watch, ids, MESSAGES);
		scan_again(&watch, native);
		assert_int_equal(watch.count, 2 * MESSAGES);
		spool_close(&watch.spool);
	}
}

static void test_while_mail_changes(void **state ATTR_UNUSED)
{
	static bool (*const acts[])(struct watch *,
				    const message_id *) = { change_headers,
							    change_body };
	static struct watch watch;
	message_id ids[MESSAGES];
	unsigned int native, i;

	for (native = 0; native < 2; native++) {
		for (i = 0; i < N_ELEMENTS(acts); i++) {
			watch.spool = spool_with(native, ids, MESSAGES);
			watch.ids = ids;
			watch.id_count = MESSAGES;
			scan_while(&watch, acts[i]);
			must_have_found(&watch, ids, MESSAGES);
			spool_close(&watch.spool);
		}
	}
}

/* What is gone before it was told of is not told of. */
static void test_while_mail_leaves(void **state ATTR_UNUSED)
{
	static struct watch watch;
	message_id ids[MESSAGES];
	unsigned int native;

	for (native = 0; native < 2; native++) {
		watch.spool = spool_with(native, ids, MESSAGES);
		watch.ids = ids;
		watch.id_count = MESSAGES;
		scan_while(&watch, remove_it);
		assert_int_equal(watch.count, 1);
		scan_again(&watch, native);
		assert_int_equal(watch.count, 0);
		spool_close(&watch.spool);
	}
}

/*
 * The end
 */

/* Stays with the first message until the spool is being closed. */
static bool hold_until_close(struct watch *watch,
			     const message_id *id ATTR_UNUSED)
{
	if (watch->count == 1)
		(void)pthread_barrier_wait(&watch->barrier);
	while (!atomic_load(&watch->closing->stopping))
		(void)sched_yield();
	return true;
}

static void test_close_stops_it(void **state ATTR_UNUSED)
{
	static struct watch watch;
	message_id ids[MESSAGES];
	unsigned int native;

	for (native = 0; native < 2; native++) {
		watch.spool = spool_with(native, ids, MESSAGES);
		watch.closing = watch.spool;
		watch.count = watch.done = 0;
		watch.failed = false;
		watch.act = hold_until_close;
		assert_int_equal(pthread_barrier_init(&watch.barrier, NULL, 2),
				 0);
		spool_start_scan(watch.spool, take_found, take_done, &watch);
		(void)pthread_barrier_wait(&watch.barrier);
		spool_close(&watch.spool);
		/* and it is over */
		assert_int_equal(watch.count, 1);
		assert_int_equal(watch.done, 1);
		assert_false(watch.failed);
		(void)pthread_barrier_destroy(&watch.barrier);
	}
}

static void test_one_at_a_time(void **state ATTR_UNUSED)
{
	static struct watch watch;
	message_id id;

	watch.spool = spool_with(true, &id, 1);
	watch.count = watch.done = 0;
	watch.act = hold_first;
	assert_int_equal(pthread_barrier_init(&watch.barrier, NULL, 2), 0);
	spool_start_scan(watch.spool, take_found, take_done, &watch);
	(void)pthread_barrier_wait(&watch.barrier);
	EXPECT_PANIC("a scan is running",
		     spool_start_scan(watch.spool, take_found, NULL, &watch));
	(void)pthread_barrier_wait(&watch.barrier);
	spool_wait_scan(watch.spool);
	assert_int_equal(watch.count, 1);
	(void)pthread_barrier_destroy(&watch.barrier);
	spool_close(&watch.spool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_module_that_can_runs),
		cmocka_unit_test(test_on_a_thread_of_its_own),
		cmocka_unit_test(test_without_a_thread),
		cmocka_unit_test(test_found_may_use_the_message),
		cmocka_unit_test(test_a_directory_that_shows_twice),
		cmocka_unit_test(test_while_mail_arrives),
		cmocka_unit_test(test_while_mail_changes),
		cmocka_unit_test(test_while_mail_leaves),
		cmocka_unit_test(test_close_stops_it),
		cmocka_unit_test(test_one_at_a_time),
	};

	return cmocka_run_group_tests_name(
		"spool-scan", tests, test_spool_setup, test_spool_teardown);
}
