/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The file store: of two who are at one message, the one is held where the other one would be
   in its way, which waits until the first is ready. */

#include "config.h"
#include "file-ops.h"
#include "test-spool-common.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

static const char wire[] = TEST_SPOOL_WIRE;
static const char longer[] =
	"Subject: another\r\n\r\nmuch longer than before\r\n.\r\n";

/* What is enough for who does not wait, in nanoseconds. */
#define LONG_ENOUGH 100000000

enum what {
	REWRITE,
	REMOVE,
	GIVE_UP,
	SCAN
};

struct actor {
	struct spool *spool;
	email_message *message;
	enum what what;
	int answer;
	unsigned int found; /* by the scan */
};

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	enum what first;
	bool inside, left;     /* the first one */
	bool second_was_there; /* meanwhile */
} held = { .mutex = PTHREAD_MUTEX_INITIALIZER,
	   .changed = PTHREAD_COND_INITIALIZER };

/* The first one that comes here does not go on before the second one is ready, or would have
   been. */
static void hold(void)
{
	struct timespec end;

	assert_int_equal(clock_gettime(CLOCK_REALTIME, &end), 0);
	end.tv_nsec += LONG_ENOUGH;
	end.tv_sec += end.tv_nsec / 1000000000;
	end.tv_nsec %= 1000000000;
	(void)pthread_mutex_lock(&held.mutex);
	if (!held.inside) {
		held.inside = true;
		(void)pthread_cond_broadcast(&held.changed);
		while (!held.second_was_there &&
		       pthread_cond_timedwait(&held.changed, &held.mutex,
					      &end) == 0)
			;
		held.left = true;
	}
	(void)pthread_mutex_unlock(&held.mutex);
}

static bool ends_with(const char *name, const char *suffix)
{
	return strlen(name) >= strlen(suffix) &&
		strcmp(name + strlen(name) - strlen(suffix), suffix) == 0;
}

/* All that it is to follow was looked at: its headers get their name. */
static int held_renameat2(int old_dir, const char *old_path, int new_dir,
			  const char *new_path, unsigned int flags)
{
	if (held.first == REWRITE && ends_with(new_path, ".h"))
		hold();
	return file_ops_system.renameat2(old_dir, old_path, new_dir, new_path,
					 flags);
}

static int held_linkat(int old_dir, const char *old_path, int new_dir,
		       const char *new_path, int flags)
{
	if (held.first == REWRITE && ends_with(new_path, ".h"))
		hold();
	return file_ops_system.linkat(old_dir, old_path, new_dir, new_path,
				      flags);
}

static int held_unlinkat(int dir, const char *path, int flags)
{
	if ((held.first == REMOVE && ends_with(path, ".h")) ||
	    (held.first == GIVE_UP && ends_with(path, ".b")))
		hold();
	return file_ops_system.unlinkat(dir, path, flags);
}

/* It read the headers, and looks for the body that they speak of. */
static int held_fstatat(int dir, const char *path, struct stat *st, int flags)
{
	if (held.first == SCAN && ends_with(path, ".b"))
		hold();
	return file_ops_system.fstatat(dir, path, st, flags);
}

static void act(struct actor *actor)
{
	message_id *id = &actor->message->message_id;

	switch (actor->what) {
	case REWRITE:
		actor->answer =
			test_spool_write_headers(actor->spool, actor->message);
		break;
	case REMOVE:
		actor->answer = spool_remove(actor->spool, id);
		break;
	case GIVE_UP:
		actor->answer =
			spool_unlinkbody(actor->spool, IO_SYNCHRONOUS, id);
		break;
	case SCAN:
		actor->found = test_spool_scan(actor->spool);
		break;
	}
}

static void *come_second(void *context)
{
	(void)pthread_mutex_lock(&held.mutex);
	while (!held.inside)
		(void)pthread_cond_wait(&held.changed, &held.mutex);
	(void)pthread_mutex_unlock(&held.mutex);
	act(context);
	(void)pthread_mutex_lock(&held.mutex);
	held.second_was_there = !held.left;
	(void)pthread_cond_broadcast(&held.changed);
	(void)pthread_mutex_unlock(&held.mutex);
	return NULL;
}

/* Both do what they do, one after the other. */
static void act_both(struct actor *first, struct actor *second)
{
	struct file_ops ops = file_ops_system;
	pthread_t thread;

	ops.renameat2 = held_renameat2;
	ops.linkat = held_linkat;
	ops.unlinkat = held_unlinkat;
	ops.fstatat = held_fstatat;
	held.first = first->what;
	held.inside = held.left = held.second_was_there = false;
	file_ops_set(&ops);
	assert_int_equal(pthread_create(&thread, NULL, come_second, second), 0);
	act(first);
	assert_int_equal(pthread_join(thread, NULL), 0);
	file_ops_set(NULL);
	assert_true(held.left);
	assert_false(held.second_was_there);
}

/* A message whose body is written anew, and its headers are not yet. */
static email_message *changed_message(struct spool *spool, const message_id *id)
{
	email_message *message;

	assert_int_equal(spool_get(spool, id, &message), IO_DONE);
	assert_int_equal(test_spool_write_body(spool, message, longer),
			 IO_DONE);
	return message;
}

/* It does not come back, whoever was first. */
static void test_a_removal_and_a_rewrite(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	struct actor rewrite = { .spool = spool, .what = REWRITE };
	struct actor removal = { .spool = spool, .what = REMOVE };
	email_message *message, *again;
	message_id id;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1,
						&id),
				 IO_DONE);
		message = changed_message(spool, &id);
		rewrite.message = removal.message = message;
		if (i == 0)
			act_both(&rewrite, &removal);
		else
			act_both(&removal, &rewrite);
		assert_int_equal(removal.answer, IO_DONE);
		if (i == 0)
			assert_int_equal(rewrite.answer, IO_DONE);
		else
			assert_int_not_equal(rewrite.answer, IO_DONE);
		assert_int_equal(spool_get(spool, &message->message_id, &again),
				 IO_FAIL);
		assert_int_equal(io_get_errno(), ENOENT);
		email_message_unref(&message);
	}
	spool_close(&spool);
}

/* A message has a body, or nobody was told that it is stored. */
static void test_a_body_that_is_given_up(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	struct actor commit = { .spool = spool, .what = REWRITE };
	struct actor giving_up = { .spool = spool, .what = GIVE_UP };
	email_message *message, *again;
	message_id id;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		spool_new_id(spool, &id);
		message = email_message_new(&id);
		assert_int_equal(
			email_message_set_sender(message, "a@example.org"), 0);
		assert_int_equal(email_message_add_recipient(message,
							     "b@example.org"),
				 0);
		assert_int_equal(test_spool_write_body(spool, message, wire),
				 IO_DONE);
		commit.message = giving_up.message = message;
		if (i == 0) {
			act_both(&commit, &giving_up);
			assert_int_equal(commit.answer, IO_DONE);
			assert_int_equal(giving_up.answer, IO_FAIL);
			test_spool_must_have(spool, &id, wire,
					     sizeof(wire) - 1);
		} else {
			act_both(&giving_up, &commit);
			assert_int_equal(giving_up.answer, IO_DONE);
			assert_int_equal(commit.answer, IO_TRANS_FAIL);
			assert_int_equal(spool_get(spool, &id, &again),
					 IO_FAIL);
		}
		email_message_unref(&message);
	}
	spool_close(&spool);
}

/* Headers whose body went meanwhile would be damage. */
static void test_a_scan_and_a_rewrite(void **state ATTR_UNUSED)
{
	struct actor scan = { .what = SCAN }, rewrite = { .what = REWRITE };
	struct spool *spool = test_spool_new("");
	email_message *message;
	message_id id;

	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	spool_close(&spool);
	scan.spool = rewrite.spool = spool = test_spool_open(0);
	message = changed_message(spool, &id);
	scan.message = rewrite.message = message;
	act_both(&scan, &rewrite);
	assert_int_equal(scan.found, 1);
	assert_int_equal(rewrite.answer, IO_DONE);
	test_spool_must_have(spool, &message->message_id, longer,
			     sizeof(longer) - 1);
	assert_int_equal(test_spool_files_in("quarantine").count, 0);
	email_message_unref(&message);
	spool_close(&spool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_removal_and_a_rewrite),
		cmocka_unit_test(test_a_body_that_is_given_up),
		cmocka_unit_test(test_a_scan_and_a_rewrite),
	};

	return cmocka_run_group_tests_name("module-file-claim", tests,
					   test_spool_setup,
					   test_spool_teardown);
}
