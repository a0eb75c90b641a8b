/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Who writes for whom in the journal, and when each is told: the sync is held, and
   counted. */

#include "config.h"
#include "file-ops.h"
#include "macros.h"
#include "test-faults.h"
#include "test-journal-common.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	unsigned int syncs;   /* that began */
	unsigned int allowed; /* that may end */
	pthread_t by[8];      /* whose the first ones were */
} gate = { .mutex = PTHREAD_MUTEX_INITIALIZER,
	   .changed = PTHREAD_COND_INITIALIZER };

static int held_fdatasync(int fd)
{
	unsigned int number;

	(void)pthread_mutex_lock(&gate.mutex);
	number = ++gate.syncs;
	if (number <= N_ELEMENTS(gate.by))
		gate.by[number - 1] = pthread_self();
	(void)pthread_cond_broadcast(&gate.changed);
	while (number > gate.allowed)
		(void)pthread_cond_wait(&gate.changed, &gate.mutex);
	(void)pthread_mutex_unlock(&gate.mutex);
	return file_ops_system.fdatasync(fd);
}

static void allow_syncs(unsigned int count)
{
	(void)pthread_mutex_lock(&gate.mutex);
	gate.allowed = count;
	(void)pthread_cond_broadcast(&gate.changed);
	(void)pthread_mutex_unlock(&gate.mutex);
}

/* Until there were so many, since begin_gate(). */
static void wait_for_syncs(unsigned int count)
{
	(void)pthread_mutex_lock(&gate.mutex);
	while (gate.syncs < count)
		(void)pthread_cond_wait(&gate.changed, &gate.mutex);
	(void)pthread_mutex_unlock(&gate.mutex);
}

/* A new journal that has its segment, with one message, and whose next sync is held. */
static struct journal *begin_gate(void)
{
	static struct file_ops ops;
	struct journal *journal = test_journal_new();

	assert_int_equal(test_journal_store(journal, 1000), 0);
	ops = file_ops_system;
	ops.fdatasync = held_fdatasync;
	file_ops_set(&ops);
	gate.syncs = 0;
	allow_syncs(0);
	return journal;
}

static void end_gate(struct journal *journal)
{
	file_ops_set(NULL);
	journal_close(&journal);
}

static void count_done(struct journal_request *request, int error)
{
	struct test_journal_put *put = request->context;

	(void)pthread_mutex_lock(&gate.mutex);
	put->error = error;
	put->done++;
	(void)pthread_cond_broadcast(&gate.changed);
	(void)pthread_mutex_unlock(&gate.mutex);
}

/* One that nobody waits for. */
static void make_submit(struct test_journal_put *put, unsigned int n)
{
	test_journal_make_put(put, n, 1);
	put->request.done = count_done;
}

static unsigned int done_of(const struct test_journal_put *put)
{
	unsigned int done;

	(void)pthread_mutex_lock(&gate.mutex);
	done = put->done;
	(void)pthread_mutex_unlock(&gate.mutex);
	return done;
}

static void wait_for_done(const struct test_journal_put *put)
{
	(void)pthread_mutex_lock(&gate.mutex);
	while (put->done == 0)
		(void)pthread_cond_wait(&gate.changed, &gate.mutex);
	(void)pthread_mutex_unlock(&gate.mutex);
}

static pthread_t start(void *(*run)(void *context), void *context)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, run, context), 0);
	return thread;
}

static void end(pthread_t thread)
{
	void *failed;

	assert_int_equal(pthread_join(thread, &failed), 0);
	assert_null(failed);
}

#define MANY 64

static struct test_journal_put many[MANY];

static void *submit_first(void *journal)
{
	journal_submit(journal, &many[0].request);
	return NULL;
}

/* What the next test did: groups of 1, 1 and 63. */
static void must_have_counted(struct journal *journal)
{
	struct spool_stats stats;

	assert_int_equal(journal_get_stats(journal, &stats), 0);
	assert_int_equal(stats.group_changes[0], 2);
	assert_int_equal(stats.group_changes[5], 1);
	assert_int_equal(test_journal_sum(stats.group_changes), 3);
	assert_int_equal(test_journal_sum(stats.sync_usecs), 3);
	assert_int_equal(stats.failed_groups, 0);
	assert_int_equal(stats.live_segments, 1);
	assert_int_equal(stats.dead_segments + stats.cut_segments, 0);
	assert_int_equal(stats.live_records, 2 * (MANY + 1));
	assert_int_equal(stats.records, stats.live_records);
	assert_true(stats.segment_bytes > 0);
}

static void test_what_gathers_is_one_group(void **state ATTR_UNUSED)
{
	struct journal *journal = begin_gate();
	pthread_t thread;
	unsigned int n;

	for (n = 0; n < MANY; n++)
		make_submit(&many[n], n);
	thread = start(submit_first, journal);
	wait_for_syncs(1);
	/* these find somebody at it, and do not wait */
	for (n = 1; n < MANY; n++)
		journal_submit(journal, &many[n].request);
	for (n = 0; n < MANY; n++) {
		assert_int_equal(done_of(&many[n]), 0);
		/* and nothing is believed before its sync */
		assert_false(test_journal_has(journal, n));
	}
	allow_syncs(UINT_MAX);
	end(thread);
	for (n = 0; n < MANY; n++) {
		wait_for_done(&many[n]);
		assert_int_equal(many[n].error, 0);
		assert_true(test_journal_has(journal, n));
	}
	assert_int_equal(gate.syncs, 2);
	must_have_counted(journal);
	end_gate(journal);
}

/*
 * The turn
 */

/* Waits until so many requests are queued, and so many want the turn for something
   else. */
static void wait_for_queue(struct journal *journal, unsigned int requests,
			   bool wanted)
{
	const struct journal_request *request;
	unsigned int count;
	bool as_wanted;

	do {
		(void)sched_yield();
		(void)pthread_mutex_lock(&journal->queue_mutex);
		count = 0;
		for (request = journal->queue; request != NULL;
		     request = request->next)
			count++;
		as_wanted = (journal->turn_wanted != NULL) == wanted;
		(void)pthread_mutex_unlock(&journal->queue_mutex);
	} while (count != requests || !as_wanted);
}

/* One that somebody waits for. */
struct commit {
	struct journal *journal;
	struct test_journal_put put;
};

static void *commit_one(void *context)
{
	struct commit *commit = context;
	int ret = journal_commit(commit->journal, &commit->put.request);

	return ret == 0 && commit->put.done == 1 ? NULL : commit;
}

static void make_commit(struct commit *commit, struct journal *journal,
			unsigned int n)
{
	commit->journal = journal;
	test_journal_make_put(&commit->put, n, 1);
}

static void done_once_the_next_sync_begins(struct journal_request *request,
					   int error)
{
	struct test_journal_put *put = request->context;

	wait_for_syncs(2);
	put->error = error;
	put->done++;
}

/* Whoever is told may take his time: the disk has work meanwhile. */
static void
test_the_next_group_is_written_before_this_one_is_told(void **state ATTR_UNUSED)
{
	struct journal *journal = begin_gate();
	struct commit first, second;
	pthread_t threads[2];

	make_commit(&first, journal, 1);
	make_commit(&second, journal, 2);
	first.put.request.done = done_once_the_next_sync_begins;
	threads[0] = start(commit_one, &first);
	wait_for_syncs(1);
	threads[1] = start(commit_one, &second);
	wait_for_queue(journal, 1, false);
	allow_syncs(UINT_MAX);
	end(threads[0]);
	end(threads[1]);
	assert_int_equal(gate.syncs, 2);
	end_gate(journal);
}

/*
 * The journal's thread
 */

static pthread_t told_by[8];

static void note_teller(struct journal_request *request, int error)
{
	struct test_journal_put *put = request->context;

	put->error = error;
	put->done++;
	told_by[request->records[0].id.bytes[15]] = pthread_self();
}

static unsigned int index_of(const pthread_t *threads, unsigned int count,
			     pthread_t thread)
{
	unsigned int i = 0;

	while (i < count && !pthread_equal(threads[i], thread))
		i++;
	return i;
}

/* Six commits: the first is synced, the others are queued behind it. */
static void begin_six(struct journal *journal, struct commit *commits,
		      pthread_t *threads)
{
	unsigned int i;

	for (i = 0; i < 6; i++) {
		make_commit(&commits[i], journal, i);
		commits[i].put.request.done = note_teller;
		commits[i].put.request.records[0].id.bytes[15] =
			commits[i].put.request.records[1].id.bytes[15] =
				(unsigned char)i;
		threads[i] = start(commit_one, &commits[i]);
		if (i == 0)
			wait_for_syncs(1);
		else
			wait_for_queue(journal, i < 4 ? i : i - 3, false);
		if (i == 3) {
			allow_syncs(1);
			wait_for_syncs(2);
		}
	}
}

/* Where many wait. Who waits for it need not be woken before it is written, nor does it tell
   those whose group it wrote. */
static void test_its_thread_goes_on(void **state ATTR_UNUSED)
{
	struct journal *journal = begin_gate();
	struct commit commits[6];
	pthread_t threads[6];
	unsigned int i;

	begin_six(journal, commits, threads);
	allow_syncs(UINT_MAX);
	for (i = 0; i < 6; i++)
		end(threads[i]);
	assert_int_equal(gate.syncs, 3);
	assert_true(pthread_equal(gate.by[0], threads[0]));
	/* the second and the third group */
	assert_int_equal(index_of(threads, 6, gate.by[1]), 6);
	assert_true(pthread_equal(gate.by[2], gate.by[1]));
	for (i = 1; i < 4; i++)
		assert_in_range(index_of(threads, 6, told_by[i]), 1, 3);
	end_gate(journal);
	assert_int_equal(commits[0].put.done, 1);
}

/* Where those who were told did not even get a processor since, it is for one of those who
   wait: what he has to wait for makes the group larger. */
static void test_processors_are_what_is_lacking(void **state ATTR_UNUSED)
{
	struct journal *journal = begin_gate();
	struct commit commits[6];
	pthread_t threads[6];
	unsigned int i;

	atomic_fetch_add(&journal->waiting, 100);
	begin_six(journal, commits, threads);
	allow_syncs(UINT_MAX);
	for (i = 0; i < 6; i++)
		end(threads[i]);
	assert_int_equal(gate.syncs, 3);
	assert_int_equal(index_of(threads, 6, gate.by[1]), 1);
	assert_int_equal(index_of(threads, 6, gate.by[2]), 4);
	/* each of them was counted as long as he waited */
	assert_int_equal(journal->waiting, 100);
	end_gate(journal);
}

static _Atomic unsigned int interruptions;

static void count_interruption(int number ATTR_UNUSED)
{
	interruptions++;
}

/* A signal's handler wakes who waits for another one's sync, and his own has not begun. */
static void test_a_signal_ends_no_wait(void **state ATTR_UNUSED)
{
	struct sigaction action = { .sa_handler = count_interruption }, old;
	struct journal *journal = begin_gate();
	struct commit first, second;
	pthread_t threads[2];
	unsigned int i;

	assert_int_equal(sigaction(SIGUSR1, &action, &old), 0);
	make_commit(&first, journal, 1);
	make_commit(&second, journal, 2);
	threads[0] = start(commit_one, &first);
	wait_for_syncs(1);
	threads[1] = start(commit_one, &second);
	wait_for_queue(journal, 1, false);
	/* so often that it waits for one of them at least */
	for (i = 0; i < 200; i++) {
		assert_int_equal(pthread_kill(threads[1], SIGUSR1), 0);
		while (interruptions <= i)
			(void)sched_yield();
	}
	allow_syncs(UINT_MAX);
	end(threads[0]);
	end(threads[1]);
	assert_int_equal(sigaction(SIGUSR1, &old, NULL), 0);
	end_gate(journal);
}

static struct test_journal_put more[300];

static void *commit_more(void *journal)
{
	struct journal_request *requests[N_ELEMENTS(more)];
	unsigned int n;

	for (n = 0; n < N_ELEMENTS(more); n++)
		requests[n] = &more[n].request;
	return journal_commit_many(journal, requests, N_ELEMENTS(more)) == 0 ?
		NULL :
		journal;
}

static bool is_before(const struct test_journal_put *a,
		      const struct test_journal_put *b)
{
	const struct journal_place *x = &a->request.records[1].place;
	const struct journal_place *y = &b->request.records[1].place;

	return x->segment < y->segment ||
		(x->segment == y->segment && x->offset < y->offset);
}

/* More than a group takes, which one waits for: all are told, once, and none that came
   while the first of them were written is before the others. */
static void test_what_is_left_of_a_group_comes_first(void **state ATTR_UNUSED)
{
	struct journal *journal = begin_gate();
	pthread_t threads[2];
	unsigned int n;

	for (n = 0; n < N_ELEMENTS(more); n++)
		test_journal_make_put(&more[n], n, 1);
	make_submit(&many[0], 2000);
	make_submit(&many[1], 2001);
	threads[0] = start(submit_first, journal);
	wait_for_syncs(1);
	threads[1] = start(commit_more, journal);
	wait_for_queue(journal, N_ELEMENTS(more), false);
	allow_syncs(1);
	wait_for_syncs(2);
	journal_submit(journal, &many[1].request);
	allow_syncs(UINT_MAX);
	end(threads[0]);
	end(threads[1]);
	for (n = 0; n < N_ELEMENTS(more); n++) {
		assert_int_equal(more[n].done, 1);
		assert_true(test_journal_has(journal, n));
		assert_true(n == 0 || is_before(&more[n - 1], &more[n]));
	}
	wait_for_done(&many[1]);
	assert_true(is_before(&many[0], &more[0]));
	assert_true(is_before(&more[n - 1], &many[1]));
	end_gate(journal);
}

struct asking {
	struct journal *journal;
	struct spool_stats stats;
};

static void *ask_for_stats(void *context)
{
	struct asking *asking = context;

	return journal_get_stats(asking->journal, &asking->stats) == 0 ? NULL :
									 asking;
}

/* However many go on writing. */
static void
test_who_wants_the_turn_for_something_else_is_next(void **state ATTR_UNUSED)
{
	struct journal *journal = begin_gate();
	struct commit commits[3];
	struct asking asking = { .journal = journal };
	pthread_t threads[4];
	unsigned int i;

	for (i = 0; i < 3; i++)
		make_commit(&commits[i], journal, i + 1);
	threads[0] = start(commit_one, &commits[0]);
	wait_for_syncs(1);
	threads[1] = start(commit_one, &commits[1]);
	wait_for_queue(journal, 1, false);
	threads[3] = start(ask_for_stats, &asking);
	wait_for_queue(journal, 1, true);
	threads[2] = start(commit_one, &commits[2]);
	wait_for_queue(journal, 2, true);
	allow_syncs(UINT_MAX);
	for (i = 0; i < 4; i++)
		end(threads[i]);
	/* the one before the gate, and the first one */
	assert_int_equal(test_journal_sum(asking.stats.group_changes), 2);
	assert_int_equal(gate.syncs, 2);
	end_gate(journal);
}

struct taking {
	struct journal *journal;
	unsigned int *taken, number; /* by how many, and which of them it was */
};

static void *take_a_turn(void *context)
{
	struct taking *taking = context;

	journal_begin_commit(taking->journal);
	taking->number = (*taking->taken)++;
	journal_end_commit(taking->journal);
	return NULL;
}

/* The next one is what a waiter begins with. */
static void wait_for_wanting(struct journal *journal, unsigned int count)
{
	const struct journal_waiter *waiter;
	unsigned int found;

	do {
		(void)sched_yield();
		found = 0;
		(void)pthread_mutex_lock(&journal->queue_mutex);
		for (waiter = journal->turn_wanted; waiter != NULL;
		     waiter = *(struct journal_waiter *const *)waiter)
			found++;
		(void)pthread_mutex_unlock(&journal->queue_mutex);
	} while (found < count);
}

/* Or who came first might never have it. */
static void test_turns_are_given_in_order(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	struct taking takings[3];
	pthread_t threads[3];
	unsigned int i, taken = 0;

	journal_begin_commit(journal);
	for (i = 0; i < 3; i++) {
		takings[i].journal = journal;
		takings[i].taken = &taken;
		threads[i] = start(take_a_turn, &takings[i]);
		wait_for_wanting(journal, i + 1);
	}
	journal_end_commit(journal);
	for (i = 0; i < 3; i++) {
		end(threads[i]);
		assert_int_equal(takings[i].number, i);
	}
	journal_close(&journal);
}

/* Nobody waits for it, and it came while the turn was somebody's for something else. */
static void test_what_came_meanwhile_is_written(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();

	make_submit(&many[0], 1);
	journal_begin_commit(journal);
	journal_submit(journal, &many[0].request);
	assert_int_equal(done_of(&many[0]), 0);
	journal_end_commit(journal);
	wait_for_done(&many[0]);
	assert_true(test_journal_has(journal, 1));
	journal_close(&journal);
}

static struct journal *submitting_to;

/* Another one comes while the first group is synced. */
static int submitting_fdatasync(int fd)
{
	struct journal *journal = submitting_to;

	submitting_to = NULL;
	if (journal != NULL)
		journal_submit(journal, &many[1].request);
	return file_ops_system.fdatasync(fd);
}

/* What nobody waits for is written by who submits, where there can be no thread for it. */
static void test_without_a_thread(void **state ATTR_UNUSED)
{
	struct file_ops ops = file_ops_system;
	struct journal *journal = test_journal_new();

	assert_int_equal(test_journal_store(journal, 1), 0);
	make_submit(&many[0], 2);
	make_submit(&many[1], 3);
	make_submit(&many[2], 4);
	ops.fdatasync = submitting_fdatasync;
	if (test_threads_fail()) {
		submitting_to = journal;
		file_ops_set(&ops);
		journal_submit(journal, &many[0].request);
		file_ops_set(NULL);
		assert_null(submitting_to);
		assert_int_equal(done_of(&many[0]), 1);
		assert_int_equal(done_of(&many[1]), 1);
		assert_true(test_journal_has(journal, 3));
		/* or by whoever had the turn for something else */
		journal_begin_commit(journal);
		journal_submit(journal, &many[2].request);
		assert_int_equal(done_of(&many[2]), 0);
		journal_end_commit(journal);
		assert_int_equal(done_of(&many[2]), 1);
		test_threads_again();
	}
	journal_close(&journal);
}

/* Two that do not go into one segment are two groups; the first one fails. */
static void test_one_of_many_fails(void **state ATTR_UNUSED)
{
	static unsigned char data[40000];
	struct journal *journal = test_journal_new();
	struct journal_request *requests[2];
	static struct test_journal_put puts[2];
	struct journal_entry entry;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		test_journal_make_put(&puts[i], i, 1);
		puts[i].request.records[0].data = data;
		puts[i].request.records[0].size = sizeof(data);
		requests[i] = &puts[i].request;
		assert_int_equal(journal_claim(journal,
					       &puts[i].request.records[0].id,
					       &entry),
				 0);
	}
	test_faults_begin();
	/* that of the new segment comes before */
	test_faults.fail_at[TEST_OP_FDATASYNC] = 2;
	test_faults.fail_errno[TEST_OP_FDATASYNC] = EIO;
	assert_int_equal(journal_commit_many(journal, requests, 2), -1);
	assert_int_equal(errno, EIO);
	test_faults_end();
	assert_int_equal(puts[0].error, EIO);
	assert_int_equal(puts[1].error, 0);
	for (i = 0; i < 2; i++)
		journal_release(journal, &puts[i].request.records[0].id);
	journal_close(&journal);
}

/* Others may submit for ever. */
static void test_who_waits_writes_for_no_longer(void **state ATTR_UNUSED)
{
	struct journal *journal = begin_gate();
	struct commit commit;
	pthread_t thread;

	make_commit(&commit, journal, 1);
	make_submit(&many[0], 2);
	thread = start(commit_one, &commit);
	wait_for_syncs(1);
	journal_submit(journal, &many[0].request);
	allow_syncs(1);
	/* while the sync of the other one is held */
	end(thread);
	assert_int_equal(done_of(&many[0]), 0);
	allow_syncs(UINT_MAX);
	wait_for_done(&many[0]);
	end_gate(journal);
}

static void test_no_requests_are_done(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();

	assert_int_equal(journal_commit_many(journal, NULL, 0), 0);
	journal_close(&journal);
}

/*
 * Many
 */

struct writer {
	struct journal *journal;
	unsigned int first;
};

static void *write_some(void *context)
{
	struct writer *writer = context;
	unsigned int n;

	for (n = 0; n < 50; n++) {
		if (test_journal_store(writer->journal, writer->first + n) != 0)
			return writer;
		if (n % 2 == 1 &&
		    test_journal_drop(writer->journal, writer->first + n) != 0)
			return writer;
	}
	return NULL;
}

static void test_many_writers(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	struct writer writers[4];
	pthread_t threads[4];
	unsigned int i, n;

	for (i = 0; i < 4; i++) {
		writers[i].journal = journal;
		writers[i].first = i * 1000;
		threads[i] = start(write_some, &writers[i]);
	}
	for (i = 0; i < 4; i++)
		end(threads[i]);
	journal_close(&journal);
	journal = test_journal_open(false);
	for (i = 0; i < 4; i++) {
		for (n = 0; n < 50; n++)
			assert_int_equal(test_journal_has(journal,
							  i * 1000 + n),
					 n % 2 == 0);
	}
	journal_close(&journal);
}

#define CLAIMS 2000

/* Two messages whose claims wait at the same place, and who has them. */
static struct {
	struct journal *journal;
	message_id ids[2];
	_Atomic unsigned int inside[2], wrong;
} claims;

static void *claim_often(void *number)
{
	unsigned int n = *(const unsigned int *)number, i;
	struct journal_entry entry;

	for (i = 0; i < CLAIMS; i++) {
		if (journal_claim(claims.journal, &claims.ids[n], &entry) < 0)
			return number;
		if (claims.inside[n]++ > 0)
			claims.wrong++;
		(void)sched_yield();
		claims.inside[n]--;
		journal_release(claims.journal, &claims.ids[n]);
	}
	return NULL;
}

/* One has it at a time, and each who waits gets it. */
static void test_many_claims(void **state ATTR_UNUSED)
{
	static unsigned int numbers[] = { 0, 1, 0, 1, 0, 1 };
	pthread_t threads[N_ELEMENTS(numbers)];
	unsigned int i;

	claims.journal = test_journal_new();
	for (i = 0; i < 2; i++) {
		test_journal_make_id(i, &claims.ids[i]);
		claims.ids[i].bytes[15] = 7;
	}
	for (i = 0; i < N_ELEMENTS(numbers); i++)
		threads[i] = start(claim_often, &numbers[i]);
	for (i = 0; i < N_ELEMENTS(numbers); i++)
		end(threads[i]);
	assert_int_equal(claims.wrong, 0);
	journal_close(&claims.journal);
}

static void *claim_once(void *number)
{
	unsigned int n = *(const unsigned int *)number;
	struct journal_entry entry;

	if (journal_claim(claims.journal, &claims.ids[n], &entry) < 0)
		return number;
	journal_release(claims.journal, &claims.ids[n]);
	return NULL;
}

/* Somebody else waits for longer, at the same place for another message. */
static void test_the_right_one_is_woken(void **state ATTR_UNUSED)
{
	static unsigned int numbers[] = { 0, 1 };
	struct journal_entry entry;
	pthread_t threads[2];
	unsigned int i;

	claims.journal = test_journal_new();
	for (i = 0; i < 2; i++) {
		test_journal_make_id(i, &claims.ids[i]);
		claims.ids[i].bytes[15] = 7;
		assert_int_equal(journal_claim(claims.journal, &claims.ids[i],
					       &entry),
				 0);
	}
	for (i = 0; i < 2; i++) {
		threads[i] = start(claim_once, &numbers[i]);
		while (journal_index_waiting(&claims.journal->index,
					     &claims.ids[i]) == 0)
			(void)sched_yield();
	}
	for (i = 2; i-- > 0;) {
		journal_release(claims.journal, &claims.ids[i]);
		end(threads[i]);
	}
	journal_close(&claims.journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_gathers_is_one_group),
		cmocka_unit_test(
			test_the_next_group_is_written_before_this_one_is_told),
		cmocka_unit_test(test_its_thread_goes_on),
		cmocka_unit_test(test_processors_are_what_is_lacking),
		cmocka_unit_test(test_a_signal_ends_no_wait),
		cmocka_unit_test(test_what_is_left_of_a_group_comes_first),
		cmocka_unit_test(
			test_who_wants_the_turn_for_something_else_is_next),
		cmocka_unit_test(test_turns_are_given_in_order),
		cmocka_unit_test(test_what_came_meanwhile_is_written),
		cmocka_unit_test(test_without_a_thread),
		cmocka_unit_test(test_one_of_many_fails),
		cmocka_unit_test(test_who_waits_writes_for_no_longer),
		cmocka_unit_test(test_no_requests_are_done),
		cmocka_unit_test(test_many_writers),
		cmocka_unit_test(test_many_claims),
		cmocka_unit_test(test_the_right_one_is_woken),
	};

	return cmocka_run_group_tests_name("journal-queue", tests, NULL, NULL);
}
