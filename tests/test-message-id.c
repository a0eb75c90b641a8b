/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Message ids: strictly read, strictly increasing. */

#include "config.h"
#include "macros.h"
#include "message-id.h"
#include "test-common.h"

#include <pthread.h>
#include <stdlib.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MSECS UINT64_C(1767225600000) /* 2026 */

static uint64_t stamp(const message_id *id)
{
	uint64_t value = 0;
	unsigned int i;

	for (i = 0; i < 8; i++)
		value = value << 8 | id->bytes[i];
	return value;
}

static message_id id_of(uint64_t value)
{
	message_id id;
	unsigned int i;

	memset(&id, 0, sizeof(id));
	for (i = 0; i < 8; i++)
		id.bytes[i] = (unsigned char)(value >> (56 - 8 * i));
	return id;
}

/*
 * Text
 */

static void test_known_texts(void **state ATTR_UNUSED)
{
	static const struct {
		unsigned char bytes[16];
		const char *text;
	} rows[] = {
		{ { 0 }, "00000000000000000000000000" },
		{ { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		    0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
		  "7zzzzzzzzzzzzzzzzzzzzzzzzz" },
		{ { [15] = 1 }, "00000000000000000000000001" },
		{ { [15] = 0x20 }, "00000000000000000000000010" },
		{ { 0x80 }, "40000000000000000000000000" },
		{ { 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xfe, 0xdc,
		    0xba, 0x98, 0x76, 0x54, 0x32, 0x10 },
		  "014d2pf2dbsqqzxq5tk1v58cgg" },
	};
	char text[MESSAGE_ID_TEXT_SIZE];
	message_id id;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		memcpy(id.bytes, rows[i].bytes, sizeof(id.bytes));
		message_id_to_text(&id, text);
		assert_string_equal(text, rows[i].text);
		memset(&id, 0x55, sizeof(id));
		if (!message_id_from_text(text, &id))
			fail_msg("refused: %s", text);
		assert_memory_equal(id.bytes, rows[i].bytes, sizeof(id.bytes));
	}
}

static void test_texts_come_back_and_sort_as_ids(void **state ATTR_UNUSED)
{
	char text[MESSAGE_ID_TEXT_SIZE], before_text[MESSAGE_ID_TEXT_SIZE];
	message_id id, got, before;
	uint32_t random = 1;
	unsigned int i, j;

	memset(&before, 0, sizeof(before));
	message_id_to_text(&before, before_text);
	for (i = 0; i < 10000; i++) {
		for (j = 0; j < sizeof(id.bytes); j++)
			id.bytes[j] =
				(unsigned char)(test_random(&random) >> 9);
		/* now and then much of it is the same */
		memcpy(id.bytes, before.bytes, i % (sizeof(id.bytes) + 1));
		message_id_to_text(&id, text);
		assert_true(message_id_from_text(text, &got));
		assert_int_equal(message_id_cmp(&id, &got), 0);
		assert_int_equal(message_id_cmp(&id, &before) < 0,
				 strcmp(text, before_text) < 0);
		before = id;
		memcpy(before_text, text, sizeof(text));
	}
}

static void test_wrong_texts_are_refused(void **state ATTR_UNUSED)
{
	static const char *const texts[] = {
		"",
		"0",
		"0000000000000000000000000",
		"000000000000000000000000000",
		/* 2^128 and more */
		"80000000000000000000000000",
		"zzzzzzzzzzzzzzzzzzzzzzzzzz",
		/* not another way to write the same */
		"01ARZ3NDEKTSV4RRFFQ69G5FAV",
		"01arz3ndektsv4rrffq69g5faV",
		/* parts of a path */
		"../../../../../etc/passwd0",
		"/0000000000000000000000000",
		"..000000000000000000000000",
		"0000000000000000000000000.",
		"000000000000/0000000000000",
		/* around it */
		" 01arz3ndektsv4rrffq69g5fa",
		"01arz3ndektsv4rrffq69g5fav ",
		"01arz3ndektsv4rrffq69g5fav\n",
		"01arz3ndektsv4rrffq69g5fav.h",
		"-1arz3ndektsv4rrffq69g5fav",
		"01arz3ndektsv4rrffq69g5fa\xc3\xa4",
	};
	message_id id, untouched;
	size_t i;

	memset(&id, 0x55, sizeof(id));
	untouched = id;
	for (i = 0; i < N_ELEMENTS(texts); i++) {
		if (message_id_from_text(texts[i], &id))
			fail_msg("taken: \"%s\"", texts[i]);
		assert_memory_equal(&id, &untouched, sizeof(id));
	}
}

/* Any byte but one of the alphabet's 32, anywhere. */
static void test_every_byte_at_every_place(void **state ATTR_UNUSED)
{
	static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";
	static const char good[] = "01arz3ndektsv4rrffq69g5fav";
	char text[MESSAGE_ID_TEXT_SIZE], back[MESSAGE_ID_TEXT_SIZE];
	unsigned int at, byte;
	const char *pos;
	message_id id;
	bool want;

	for (at = 0; at < sizeof(good) - 1; at++) {
		for (byte = 0; byte < 256; byte++) {
			memcpy(text, good, sizeof(text));
			text[at] = (char)byte;
			pos = byte == 0 ? NULL : strchr(alphabet, (int)byte);
			want = pos != NULL && (at > 0 || pos - alphabet < 8);
			if (message_id_from_text(text, &id) != want)
				fail_msg("byte %u at %u", byte, at);
			if (!want)
				continue;
			message_id_to_text(&id, back);
			assert_string_equal(back, text);
		}
	}
}

/*
 * The generator
 */

static void test_ids_increase_whatever_the_clock_does(void **state ATTR_UNUSED)
{
	static const struct {
		const char *name;
		int64_t step;
	} rows[] = {
		{ "on", 1 },
		{ "stands", 0 },
		{ "back a little", -1 },
		{ "back an hour", -3600000 },
		{ "on a day", 86400000 },
		{ "back to 1970", -(int64_t)MSECS },
	};
	struct message_id_generator *gen = message_id_generator_new(NULL);
	uint64_t clock = MSECS;
	message_id id, before;
	size_t i;
	int n;

	message_id_generate_at(gen, clock, &before);
	assert_int_equal(message_id_get_msecs(&before), MSECS);
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		clock = (uint64_t)((int64_t)MSECS + rows[i].step);
		for (n = 0; n < 100; n++) {
			message_id_generate_at(gen, clock, &id);
			if (stamp(&id) <= stamp(&before))
				fail_msg("%s: not after the one before",
					 rows[i].name);
			before = id;
		}
	}
	message_id_generator_get_last(gen, &id);
	assert_int_equal(message_id_cmp(&id, &before), 0);
	message_id_generator_free(&gen);
	assert_null(gen);
}

/* More than 16 bits of sequence in one millisecond: the time carries on. */
static void test_sequence_runs_over(void **state ATTR_UNUSED)
{
	struct message_id_generator *gen = message_id_generator_new(NULL);
	message_id id;
	uint64_t i;

	for (i = 0; i < 70000; i++) {
		message_id_generate_at(gen, MSECS, &id);
		if (stamp(&id) != (MSECS << 16) + i)
			fail_msg("id %u", (unsigned int)i);
	}
	assert_int_equal(message_id_get_msecs(&id), MSECS + 1);
	/* the clock comes up with it */
	message_id_generate_at(gen, MSECS + 1, &id);
	assert_int_equal(stamp(&id), (MSECS << 16) + 70000);
	message_id_generate_at(gen, MSECS + 2, &id);
	assert_int_equal(stamp(&id), (MSECS + 2) << 16);
	message_id_generator_free(&gen);
}

/* Over a restart: nothing at or before the last one. */
static void test_goes_on_behind_the_last(void **state ATTR_UNUSED)
{
	static const uint64_t lasts[] = { 0, MSECS << 16, (MSECS << 16) + 7,
					  (MSECS + 1000) << 16,
					  (MSECS << 16) + 0xffff };
	struct message_id_generator *gen;
	message_id last, id;
	size_t i;

	for (i = 0; i < N_ELEMENTS(lasts); i++) {
		last = id_of(lasts[i]);
		memset(last.bytes + 8, 0xff, 8);
		gen = message_id_generator_new(&last);
		message_id_generator_get_last(gen, &id);
		assert_int_equal(message_id_cmp(&id, &last), 0);
		message_id_generate_at(gen, MSECS, &id);
		assert_true(stamp(&id) > stamp(&last));
		assert_true(stamp(&id) >= MSECS << 16);
		message_id_generator_free(&gen);
	}
}

/* A damaged note of the last id, or a clock gone wild: behind the end of time no
   id goes back to its beginning. */
static void test_end_of_time(void **state ATTR_UNUSED)
{
	message_id last = id_of(UINT64_MAX - 1), id, before;
	struct message_id_generator *gen = message_id_generator_new(&last);
	unsigned int i;

	message_id_generate_at(gen, MSECS, &before);
	assert_true(stamp(&before) == UINT64_MAX);
	for (i = 0; i < 3; i++) {
		message_id_generate_at(gen, UINT64_C(1) << 48, &id);
		assert_true(stamp(&id) == UINT64_MAX);
		/* the random half is what tells them apart */
		assert_int_not_equal(message_id_cmp(&id, &before), 0);
		before = id;
	}
	message_id_generator_free(&gen);
}

/* Nobody can guess the next one, nor two spools make the same. */
static void test_random_half(void **state ATTR_UNUSED)
{
	unsigned char zeros[8] = { 0 }, ones[8] = { 0 };
	struct message_id_generator *gen;
	message_id id;
	unsigned int i, j;

	for (i = 0; i < 100; i++) {
		gen = message_id_generator_new(NULL);
		message_id_generate_at(gen, MSECS, &id);
		for (j = 0; j < 8; j++) {
			ones[j] |= id.bytes[8 + j];
			zeros[j] |= (unsigned char)~id.bytes[8 + j];
		}
		message_id_generator_free(&gen);
	}
	for (j = 0; j < 8; j++)
		assert_int_equal(ones[j] & zeros[j], 0xff);
	message_id_generator_free(&gen);
}

static int compare_random(const void *a, const void *b)
{
	return memcmp((const unsigned char *)a + 8,
		      (const unsigned char *)b + 8, 8);
}

/* However many are had from the system at once. */
static void test_no_random_half_comes_twice(void **state ATTR_UNUSED)
{
	struct message_id_generator *gen = message_id_generator_new(NULL);
	message_id ids[1000];
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(ids); i++)
		message_id_generate_at(gen, MSECS, &ids[i]);
	qsort(ids, N_ELEMENTS(ids), sizeof(*ids), compare_random);
	for (i = 1; i < N_ELEMENTS(ids); i++)
		assert_int_not_equal(compare_random(&ids[i - 1], &ids[i]), 0);
	message_id_generator_free(&gen);
}

/* As _Fork() does, and whoever goes round the C library. */
static pid_t clone_process(void)
{
	return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

/* Parent and child, at the same time of day, behind the same last one. */
static void must_make_others(pid_t (*make_child)(void))
{
	struct message_id_generator *gen = message_id_generator_new(NULL);
	message_id id, childs;
	int fds[2], status;
	pid_t pid;

	message_id_generate_at(gen, MSECS, &id);
	assert_int_equal(pipe(fds), 0);
	pid = make_child();
	assert_true(pid >= 0);
	message_id_generate_at(gen, MSECS, &id);
	if (pid == 0)
		_exit(write(fds[1], &id, sizeof(id)) == sizeof(id) ? 0 : 1);
	assert_int_equal(read(fds[0], &childs, sizeof(childs)), sizeof(childs));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(stamp(&id), stamp(&childs));
	assert_int_not_equal(compare_random(&id, &childs), 0);
	(void)close(fds[0]);
	(void)close(fds[1]);
	message_id_generator_free(&gen);
}

static void test_a_fork_makes_others(void **state ATTR_UNUSED)
{
	must_make_others(fork);
	must_make_others(clone_process);
}

/*
 * Threads
 */

#define THREADS 8
#define EACH 10000

struct maker {
	struct message_id_generator *gen;
	pthread_barrier_t *start;
	message_id *ids;
	bool ordered;
};

static void *make_ids(void *context)
{
	struct maker *maker = context;
	unsigned int i;

	maker->ordered = true;
	(void)pthread_barrier_wait(maker->start);
	for (i = 0; i < EACH; i++) {
		if (i % 2 == 0)
			message_id_generate(maker->gen, &maker->ids[i]);
		else
			message_id_generate_at(maker->gen, MSECS,
					       &maker->ids[i]);
		if (i > 0 && stamp(&maker->ids[i]) <= stamp(&maker->ids[i - 1]))
			maker->ordered = false;
	}
	return NULL;
}

static int compare_stamps(const void *a, const void *b)
{
	return memcmp(a, b, 8);
}

static void test_threads_never_make_one_twice(void **state ATTR_UNUSED)
{
	struct message_id_generator *gen = message_id_generator_new(NULL);
	message_id *ids = calloc(THREADS * EACH, sizeof(*ids));
	struct maker makers[THREADS];
	pthread_t threads[THREADS];
	pthread_barrier_t start;
	message_id last;
	unsigned int i;

	assert_non_null(ids);
	assert_int_equal(pthread_barrier_init(&start, NULL, THREADS), 0);
	for (i = 0; i < THREADS; i++) {
		makers[i].gen = gen;
		makers[i].start = &start;
		makers[i].ids = ids + (size_t)i * EACH;
		assert_int_equal(pthread_create(&threads[i], NULL, make_ids,
						&makers[i]),
				 0);
	}
	for (i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_true(makers[i].ordered);
	}
	/* time and sequence alone: not by the luck of the random half */
	qsort(ids, THREADS * EACH, sizeof(*ids), compare_stamps);
	for (i = 1; i < THREADS * EACH; i++)
		assert_true(stamp(&ids[i]) > stamp(&ids[i - 1]));
	message_id_generator_get_last(gen, &last);
	assert_int_equal(message_id_cmp(&last, &ids[THREADS * EACH - 1]), 0);
	(void)pthread_barrier_destroy(&start);
	message_id_generator_free(&gen);
	free(ids);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_texts),
		cmocka_unit_test(test_texts_come_back_and_sort_as_ids),
		cmocka_unit_test(test_wrong_texts_are_refused),
		cmocka_unit_test(test_every_byte_at_every_place),
		cmocka_unit_test(test_ids_increase_whatever_the_clock_does),
		cmocka_unit_test(test_sequence_runs_over),
		cmocka_unit_test(test_goes_on_behind_the_last),
		cmocka_unit_test(test_end_of_time),
		cmocka_unit_test(test_random_half),
		cmocka_unit_test(test_no_random_half_comes_twice),
		cmocka_unit_test(test_a_fork_makes_others),
		cmocka_unit_test(test_threads_never_make_one_twice),
	};

	return cmocka_run_group_tests_name("message-id", tests, NULL, NULL);
}
