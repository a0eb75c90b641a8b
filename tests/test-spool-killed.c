/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Processes with many writers, killed one after the other over the same spool, against a
   ledger that this process keeps: what was acknowledged is there, what was removed is
   not, whatever they were at. */

#include "config.h"
#include "istream.h"
#include "test-spool-common.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define WRITERS 8
#define ROUNDS (TEST_STEP == 1 ? 10 : 3)
#define MESSAGES_MAX 20000

/* What a writer says; one write() each, so that they do not mix. */
enum saying {
	STORED,
	REMOVING,
	REMOVED
};
struct word {
	enum saying what;
	message_id id;
};

static int words[2];

static void say(enum saying what, const message_id *id)
{
	struct word word = { .what = what };

	word.id = *id;
	if (write(words[1], &word, sizeof(word)) != (ssize_t)sizeof(word))
		_exit(1);
}

/* Its id is in it; some are large. */
static size_t make_body(const message_id *id, char *body)
{
	char text[MESSAGE_ID_TEXT_SIZE];
	size_t size = id->bytes[15] % 16 == 0 ? 40000 : id->bytes[14] * 20u;
	size_t pos;

	message_id_to_text(id, text);
	pos = (size_t)snprintf(body, 64, "Subject: %s\r\n\r\n", text);
	while (pos < size)
		pos += (size_t)snprintf(body + pos, 32, "%s\r\n", text);
	return pos + (size_t)snprintf(body + pos, 8, ".\r\n");
}

/*
 * The process that is killed
 */

static void put_one(struct spool *spool, char *body, message_id *id)
{
	spool_new_id(spool, id);
	if (test_spool_put_as(spool, body, make_body(id, body), id) != IO_DONE)
		_exit(1);
	say(STORED, id);
}

/* Until it is killed. */
static void *writer_main(void *context)
{
	struct spool *spool = context;
	char *body = malloc(50000);
	message_id old, id;

	if (body == NULL)
		_exit(1);
	put_one(spool, body, &old);
	for (;;) {
		put_one(spool, body, &id);
		say(REMOVING, &old);
		if (spool_remove(spool, &old) != IO_DONE)
			_exit(1);
		say(REMOVED, &old);
		/* one stays now and then */
		if (id.bytes[13] % 8 == 0)
			put_one(spool, body, &id);
		old = id;
	}
}

static void be_killed(void)
{
	struct spool *spool = test_spool_open(0);
	pthread_t thread;
	unsigned int i;

	(void)alarm(300); /* where nobody does it */
	for (i = 1; i < WRITERS; i++) {
		if (pthread_create(&thread, NULL, writer_main, spool) != 0)
			_exit(1);
	}
	(void)writer_main(spool);
}

/*
 * The ledger
 */

struct line {
	message_id id;
	bool removing, removed;
	unsigned int found;
};

static struct line ledger[MESSAGES_MAX];
static unsigned int line_count;

static struct line *find_line(const message_id *id)
{
	unsigned int i;

	for (i = line_count; i > 0; i--) {
		if (message_id_cmp(&ledger[i - 1].id, id) == 0)
			return &ledger[i - 1];
	}
	return NULL;
}

static void note(const struct word *word)
{
	if (word->what == STORED) {
		assert_true(line_count < MESSAGES_MAX);
		ledger[line_count++].id = word->id;
	} else if (word->what == REMOVING) {
		find_line(&word->id)->removing = true;
	} else {
		find_line(&word->id)->removed = true;
	}
}

/* A process that is killed after so many words; what it said until then counts. */
static void run_writers(unsigned int kill_after)
{
	struct word word;
	unsigned int count = 0;
	pid_t pid;
	int status;

	assert_int_equal(pipe(words), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)close(words[0]);
		be_killed();
	}
	(void)close(words[1]);
	while (read(words[0], &word, sizeof(word)) == (ssize_t)sizeof(word)) {
		note(&word);
		if (++count == kill_after)
			assert_int_equal(kill(pid, SIGKILL), 0);
	}
	(void)close(words[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void found(const message_id *id, void *context ATTR_UNUSED)
{
	struct line *line = find_line(id);

	/* else it was stored, and nobody was told any more */
	if (line != NULL)
		line->found++;
}

static void check_ledger(void)
{
	struct spool *spool = test_spool_open(0);
	char *body = malloc(50000);
	struct spool_strays strays;
	unsigned int total;
	struct line *line;
	char *error;

	assert_non_null(body);
	for (line = ledger; line < ledger + line_count; line++)
		line->found = 0;
	spool_start_scan(spool, found, NULL, NULL);
	spool_wait_scan(spool);
	for (line = ledger; line < ledger + line_count; line++) {
		assert_true(line->found <= 1);
		if (line->removed)
			assert_int_equal(line->found, 0);
		else if (!line->removing)
			assert_int_equal(line->found, 1);
		if (line->found > 0)
			test_spool_must_have(spool, &line->id, body,
					     make_body(&line->id, body));
	}
	assert_int_equal(test_spool_damaged(spool, &total), 0);
	assert_int_equal(spool_count_strays(spool, &strays, &error), 0);
	assert_int_equal(strays.bodies, 0);
	assert_int_equal(strays.temporary, 0);
	assert_int_equal(strays.quarantined, 0);
	spool_close(&spool);
	free(body);
}

static void kill_in_a_loop(const char *store)
{
	uint32_t seed = 7;
	unsigned int i;

	line_count = 0;
	memset(ledger, 0, sizeof(ledger));
	for (i = 0; i < ROUNDS; i++) {
		run_writers(20 + (unsigned int)test_random(&seed) % 300);
		check_ledger();
	}
	printf("%s: %u acknowledged\n", store, line_count);
}

static void new_spool(const char *store)
{
	struct spool *spool = test_spool_new_of(store, "");

	spool_close(&spool);
}

static void test_file(void **state ATTR_UNUSED)
{
	new_spool("file");
	kill_in_a_loop("file");
}

static void test_journal(void **state ATTR_UNUSED)
{
	new_spool("journal");
	kill_in_a_loop("journal");
}

/* The upkeep moves what is left in half empty segments meanwhile. */
static void test_journal_with_upkeep(void **state ATTR_UNUSED)
{
	char path[600];
	FILE *conf;

	new_spool("journal");
	(void)snprintf(path, sizeof(path), "%s/spool.conf", test_spool_dir());
	conf = fopen(path, "w");
	assert_non_null(conf);
	assert_true(fputs("version = 1\nstore = journal\n"
			  "segment-size = 131072\n",
			  conf) >= 0);
	assert_int_equal(fclose(conf), 0);
	kill_in_a_loop("journal with upkeep");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_journal),
		cmocka_unit_test(test_journal_with_upkeep),
	};

	return cmocka_run_group_tests_name(
		"spool-killed", tests, test_spool_setup, test_spool_teardown);
}
