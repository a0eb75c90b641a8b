/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Some operation on a file fails, or gives less than was asked for, then the next one, ...: what
   is told then is true, what failed succeeds when it is tried again, and where the power goes
   at any later moment everything that was acknowledged is there, and nothing else. Calls are
   made in sequences, some that are known to matter, and random ones, of which a number decides
   everything: CRASH_SEQUENCES says how many, CRASH_SEQUENCE=N shows number N again. */

#include "config.h"
#include "age-keys.h"
#include "crash-ledger.h"
#include "crash-private.h"
#include "crash-spool.h"
#include "test-common.h"

#include <errno.h>
#include <stdlib.h>

#define CALLS_MAX 8

/*
 * What fails
 */

#define BIT(op) (1u << (op))
#define SYNCS \
	(BIT(TEST_OP_FSYNC) | BIT(TEST_OP_FDATASYNC) | BIT(TEST_OP_FSYNC_DIR))
#define TAKES_SPACE                                                         \
	(SYNCS | BIT(TEST_OP_OPEN) | BIT(TEST_OP_WRITE) |                   \
	 BIT(TEST_OP_FTRUNCATE) | BIT(TEST_OP_RENAME) | BIT(TEST_OP_LINK) | \
	 BIT(TEST_OP_MKDIR) | BIT(TEST_OP_CLOSE))
#define TRANSFERS (BIT(TEST_OP_READ) | BIT(TEST_OP_WRITE))

struct fault {
	const char *name;
	unsigned int ops; /* which of them, by bits */
	int error;        /* 0: they are short */
	bool after; /* so are those behind it, until what was called fails */
};

static const struct fault faults[] = {
	{ "EIO", ~0u, EIO, false },
	{ "EIO, and what comes then", ~0u, EIO, true },
	{ "ENOSPC", TAKES_SPACE, ENOSPC, false },
	{ "ENOSPC, and what comes then", TAKES_SPACE, ENOSPC, true },
	{ "EMFILE", BIT(TEST_OP_OPEN), EMFILE, false },
	{ "EMFILE, and what comes then", BIT(TEST_OP_OPEN), EMFILE, true },
	{ "EIO of syncs, and what comes then", SYNCS, EIO, true },
	{ "a short count", TRANSFERS, 0, false },
};

static void set_fault(const struct fault *fault, unsigned int nth)
{
	unsigned int op;

	for (op = 0; op < TEST_OP_COUNT; op++)
		test_faults.fail_errno[op] = (fault->ops & BIT(op)) == 0 ? 0 :
			fault->error == 0                                ? EIO :
					    fault->error;
	test_faults.all_calls = 0;
	test_faults.fail_nth = nth;
	test_faults.fail_after = fault->after;
	test_faults.shortens = fault->error == 0;
	test_faults.max_read = test_faults.max_write = fault->error == 0;
	test_faults.sync_failed = crash_sync_failed;
}

/* Nothing fails any more. */
static void heal(void)
{
	test_faults.fail_nth = 0;
	test_faults.hit = false;
}

/*
 * What is called
 */

/* Where a call has failed. */
enum retry {
	RETRY_SAME,   /* with the message in memory */
	RETRY_ANEW,   /* having read it again */
	RETRY_NOTHING /* others come */
};

struct sequence {
	unsigned int number; /* of a random one */
	const char *store;
	const char *stack; /* of bodies and headers; NULL: plain */
	size_t size;       /* of bodies */
	/* Messages that come and go before. */
	unsigned int fill;
	size_t fill_size;
	struct ledger_call calls[CALLS_MAX];
	unsigned int count;
	/* Behind so many calls the power goes, and opening the spool is the first that may fail;
	   0: it does not. */
	unsigned int cut;
	unsigned int cut_random; /* when, and what is left */
	enum retry retry;
	const struct fault *fault;
	/* Of the places of the fault, and of the moments, each so-manieth is tried. */
	unsigned int place_step, moment_step;
	unsigned int states; /* of each moment */
};

static const char *fill(struct spool **spool, const char *dir,
			const struct sequence *sequence)
{
	static const struct ledger_call calls[] = { { LEDGER_PUT, 2 },
						    { LEDGER_REMOVE, 2 } };
	const char *why = NULL;
	unsigned int i;
	bool again;

	ledger_set_size(sequence->fill_size);
	for (i = 0; i < 2 * sequence->fill && why == NULL; i++)
		why = ledger_do(spool, dir, &calls[i % 2], false, &again);
	ledger_set_size(sequence->size);
	return why;
}

/* Whether the fault's turn came. */
static bool has_come(void)
{
	return test_faults.fail_nth != 0 &&
		test_faults.all_calls >= test_faults.fail_nth;
}

/* It failed: nothing does now. */
static const char *call_again(struct spool **spool, const char *dir,
			      const struct ledger_call *call, enum retry retry)
{
	const char *why = NULL;
	bool again;

	if (test_faults.shortens)
		return "a short count makes it fail";
	heal();
	if (*spool != NULL && retry == RETRY_NOTHING)
		return NULL;
	if (*spool != NULL)
		why = ledger_look(*spool);
	return why != NULL ?
		why :
		ledger_do(spool, dir, call, retry == RETRY_SAME, &again);
}

/* *moment_r: before the call in which it came. */
static const char *call_all(struct spool **spool, const char *dir,
			    const struct ledger_call *calls, unsigned int count,
			    enum retry retry, bool *came_r, size_t *moment_r)
{
	const char *why = NULL;
	unsigned int i;
	bool again;

	*came_r = false;
	for (i = 0; i < count && why == NULL; i++) {
		test_faults.hit = false;
		if (!*came_r)
			*moment_r = crash_op_count;
		why = ledger_do(spool, dir, &calls[i], false, &again);
		*came_r |= has_come();
		if (why == NULL && again)
			why = call_again(spool, dir, &calls[i], retry);
	}
	heal();
	return why;
}

/*
 * A power cut before
 */

struct choice {
	unsigned int left; /* so many are not it */
	bool done;
};

/* Takes a state for what there is from now on. */
static const char *choose_state(const char *dir, const int *events,
				size_t count, void *context)
{
	struct choice *choice = context;

	if (choice->left-- > 0)
		return NULL;
	choice->done = true;
	ledger_base_behind(events, count);
	test_remove_tree(test_path("work"));
	assert_int_equal(rename(dir, test_path("work")), 0);
	return "chosen";
}

static void cut_power(struct spool **spool, unsigned int random)
{
	struct choice choice = { .left = random / 7 % 3 };
	size_t states;

	spool_close(spool);
	crash_record_end();
	crash_explore_from(crash_base_count +
			   random % (crash_operation_count() + 1));
	crash_explore_each(1);
	do {
		(void)crash_explore(test_path("state"), 4, choose_state,
				    &choice, &states);
		/* there were not so many */
	} while (!choice.done);
	crash_forget();
	crash_record_begin(test_path("work"));
	test_faults_begin_over(file_ops());
}

/*
 * A run
 */

static size_t run_count, state_count;
/* Whom stacks encrypt for: who reads has the key. */
static struct age_recipients *recipients;

static const char *explore(const struct sequence *sequence, size_t moment)
{
	const char *why;
	size_t states;

	crash_explore_from(moment);
	crash_explore_each(sequence->moment_step);
	why = crash_explore(test_path("state"), sequence->states, ledger_check,
			    NULL, &states);
	state_count += states;
	return why;
}

/* With the fault in this place. */
static const char *run(const struct sequence *sequence, unsigned int nth,
		       bool *came_r)
{
	const struct spool_settings settings = { .body = sequence->stack,
						 .store = sequence->store,
						 .recipients = recipients };
	const struct ledger_call *calls = sequence->calls;
	unsigned int fds = test_open_descriptors();
	struct spool *spool;
	const char *why;
	size_t moment;
	char dir[600], *error;

	run_count++;
	(void)snprintf(dir, sizeof(dir), "%s", test_path("work"));
	ledger_begin(strcmp(sequence->store, "journal") == 0);
	crash_spool_prepare(&settings, CRASH_SYNC_NONE);
	spool = spool_open(dir, 0, &ledger_keys, &error);
	if (spool == NULL)
		fail_msg("%s", error);
	test_faults_begin_over(file_ops());
	why = fill(&spool, dir, sequence);
	crash_record_base();
	ledger_base();
	if (why == NULL && sequence->cut > 0) {
		why = call_all(&spool, dir, calls, sequence->cut, RETRY_NOTHING,
			       came_r, &moment);
		cut_power(&spool, sequence->cut_random);
	}
	set_fault(sequence->fault, nth);
	if (why == NULL)
		why = call_all(&spool, dir, calls + sequence->cut,
			       sequence->count - sequence->cut, sequence->retry,
			       came_r, &moment);
	if (why == NULL)
		why = ledger_look(spool);
	spool_close(&spool);
	crash_record_end();
	ledger_end();
	if (why == NULL && test_open_descriptors() != fds)
		why = "descriptors are left open";
	return why == NULL && *came_r ? explore(sequence, moment) : why;
}

static void tell(const struct sequence *sequence, unsigned int nth,
		 const char *why)
{
	static const char *const retries[] = { "the same again", "again",
					       "nothing again" };
	unsigned int i;

	printf("%u: %s, \"%s\", bodies of %zu, behind %u of %zu:",
	       sequence->number, sequence->store,
	       sequence->stack == NULL ? "" : sequence->stack, sequence->size,
	       sequence->fill, sequence->fill_size);
	for (i = 0; i < sequence->count; i++)
		printf("%s %s %u",
		       i > 0 && i == sequence->cut ? " (power cut)" : "",
		       ledger_step_name(sequence->calls[i].step),
		       sequence->calls[i].message);
	printf("; operation %u: %s; %s\n", nth, sequence->fault->name,
	       retries[sequence->retry]);
	fail_msg("%s", why);
}

static void try_each_place(const struct sequence *sequence)
{
	unsigned int nth;
	const char *why;
	bool came = true;

	for (nth = 1; came; nth += sequence->place_step) {
		why = run(sequence, nth, &came);
		if (why != NULL)
			tell(sequence, nth, why);
	}
}

/*
 * Which sequences
 */

/* Steps that were wrong once, or that much depends on. */
static void test_known_sequences(void **state ATTR_UNUSED)
{
	static const struct {
		enum ledger_step steps[CALLS_MAX];
		unsigned int count;
		enum retry retry;
	} rows[] = {
		{ { LEDGER_PUT, LEDGER_CHANGE, LEDGER_REMOVE },
		  3,
		  RETRY_NOTHING },
		{ { LEDGER_PUT, LEDGER_REPLACE, LEDGER_REMOVE, LEDGER_PUT },
		  4,
		  RETRY_SAME },
		{ { LEDGER_PUT, LEDGER_REPLACE, LEDGER_KILL, LEDGER_VERIFY },
		  4,
		  RETRY_ANEW },
	};
	static const char *const stores[] = { "file", "journal" };
	struct sequence sequence = { .size = 3000,
				     .place_step = TEST_STEP,
				     .moment_step = 9,
				     .states = 2 };
	size_t row, fault, store;
	unsigned int i;

	for (row = 0; row < N_ELEMENTS(rows); row++) {
		sequence.count = rows[row].count;
		sequence.retry = rows[row].retry;
		for (i = 0; i < sequence.count; i++)
			sequence.calls[i].step = rows[row].steps[i];
		for (fault = row % 2; fault < N_ELEMENTS(faults); fault += 2) {
			sequence.fault = &faults[fault];
			for (store = 0; store < N_ELEMENTS(stores); store++) {
				sequence.store = stores[store];
				try_each_place(&sequence);
			}
		}
	}
	printf("%zu runs, %zu states\n", run_count, state_count);
}

static unsigned int random_below(uint32_t *seed, unsigned int end)
{
	return (test_random(seed) >> 8) % end;
}

static size_t random_size(uint32_t *seed)
{
	/* the last one has a file of its own in the journal store */
	static const size_t sizes[] = { 60, 60, 3000, 9000, 14000, 30000 };

	return sizes[random_below(seed, N_ELEMENTS(sizes))];
}

static void random_calls(struct sequence *sequence, uint32_t *seed)
{
	static const enum ledger_step often[] = {
		LEDGER_PUT,     LEDGER_PUT,     LEDGER_PUT,    LEDGER_CHANGE,
		LEDGER_REPLACE, LEDGER_REPLACE, LEDGER_REMOVE, LEDGER_REMOVE,
		LEDGER_DELIVER, LEDGER_DELIVER
	};
	struct ledger_call *call;
	unsigned int i, kind;

	sequence->count = 3 + random_below(seed, CALLS_MAX - 3);
	for (i = 0; i < sequence->count; i++) {
		call = &sequence->calls[i];
		kind = random_below(seed, N_ELEMENTS(often) + LEDGER_STEPS);
		call->step = i == 0 ?
			LEDGER_PUT :
			kind < N_ELEMENTS(often) ?
			often[kind] :
			(enum ledger_step)(kind - N_ELEMENTS(often));
		/* mostly the first */
		call->message = random_below(seed, 3) == 0;
	}
	if (random_below(seed, 2) == 0)
		return;
	sequence->cut = 1 + random_below(seed, sequence->count - 1);
	sequence->cut_random = random_below(seed, 1u << 20);
	sequence->calls[sequence->cut].step = LEDGER_REOPEN;
}

/* Of one in four. */
static const char *stack_of(unsigned int number)
{
	static const char *const stacks[] = { "gzip", "zstd | age", "age" };

	return number % 8 < 6 ? NULL : stacks[number / 8 % N_ELEMENTS(stacks)];
}

static void try_random(unsigned int number)
{
	uint32_t seed = number * 2654435761u + 1;
	struct sequence sequence = {
		.number = number,
		.store = number % 2 == 0 ? "file" : "journal",
		.stack = stack_of(number),
		.place_step = 4 * TEST_STEP,
		.moment_step = 13,
	};

	/* all is lost, or there, or torn, or anything */
	sequence.states = 2 + random_below(&seed, 4);
	sequence.size = random_size(&seed);
	/* a segment of the journal store has 15 small ones */
	sequence.fill = random_below(&seed, 14);
	sequence.fill_size = random_size(&seed);
	sequence.retry = (enum retry)random_below(&seed, 3);
	sequence.fault = &faults[random_below(&seed, N_ELEMENTS(faults))];
	random_calls(&sequence, &seed);
	try_each_place(&sequence);
}

/* Of random ones. */
static void test_sequences_that_were_wrong(void **state ATTR_UNUSED)
{
	/* a segment that was given up was missing */
	static const unsigned int numbers[] = { 33 };
	size_t i;

	for (i = 0; i < N_ELEMENTS(numbers); i++)
		try_random(numbers[i]);
}

static void test_random_sequences(void **state ATTR_UNUSED)
{
	const char *one = getenv("CRASH_SEQUENCE");
	const char *count = getenv("CRASH_SEQUENCES");
	unsigned int number = one != NULL ? (unsigned int)atoi(one) : 0;
	unsigned int end = one != NULL ? number + 1 :
		count != NULL          ? (unsigned int)atoi(count) :
					 30 / TEST_STEP;

	for (; number < end; number++)
		try_random(number);
	printf("%zu runs, %zu states\n", run_count, state_count);
}

static int make_key(void **state ATTR_UNUSED)
{
	char text[AGE_RECIPIENT_TEXT_SIZE], *error;

	ledger_keys.identities = age_identities_new();
	recipients = age_recipients_new();
	return age_keygen(test_path("key"), text, &error) == 0 &&
			age_identities_add_file(ledger_keys.identities,
						test_path("key"), NULL,
						&error) == 0 &&
			age_recipients_add(recipients, text, &error) == 0 ?
		0 :
		-1;
}

static int free_key(void **state ATTR_UNUSED)
{
	age_identities_unref(&ledger_keys.identities);
	age_recipients_unref(&recipients);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_sequences),
		cmocka_unit_test(test_sequences_that_were_wrong),
		cmocka_unit_test(test_random_sequences),
	};

	crash_use_memory();
	return cmocka_run_group_tests_name("crash-sequences", tests, make_key,
					   free_key);
}
