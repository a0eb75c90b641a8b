/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Processes with many writers, killed one after the other over the same spool, against a
   ledger that this process keeps: what was acknowledged is there, what was removed is
   not, and what was delivered is so, whatever they were at. `make kill-soak` does it until
   a million messages were stored. */

#include "config.h"
#include "istream.h"
#include "test-spool-common.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define WRITERS 8
#define ROUNDS (TEST_STEP == 1 ? 10 : 3)

/* What a writer says; one write() each, so that they do not mix. */
enum saying {
	STORED,
	DELIVERED,
	REMOVING,
	REMOVED
};
struct word {
	enum saying what;
	message_id id;
};

static int words[2];
/* Of eight messages so many are never removed. */
static unsigned int staying;

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

static void must_be_done(int answer, const char *what)
{
	if (answer != IO_DONE) {
		fprintf(stderr, "%s: %d: %s\n", what, answer, io_get_error());
		_exit(1);
	}
}

static void put_one(struct spool *spool, char *body, message_id *id)
{
	spool_new_id(spool, id);
	must_be_done(test_spool_put_as(spool, body, make_body(id, body), id),
		     "put");
	say(STORED, id);
}

static void deliver_one(struct spool *spool, const message_id *id)
{
	email_message *message;

	must_be_done(spool_get(spool, id, &message), "get");
	(void)email_message_set_recipient_state(message, 0,
						EMAIL_RECIPIENT_DELIVERED, "");
	must_be_done(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0),
		     "write the headers");
	email_message_unref(&message);
	say(DELIVERED, id);
}

static void remove_one(struct spool *spool, const message_id *id)
{
	say(REMOVING, id);
	must_be_done(spool_remove(spool, id), "remove");
	say(REMOVED, id);
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
		if (old.bytes[12] % 4 == 0)
			deliver_one(spool, &old);
		if (old.bytes[13] % 8 >= staying)
			remove_one(spool, &old);
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
	bool delivered, removing, removed;
	unsigned int found;
};

static struct line *ledger;
static size_t line_count, lines_max;
/* Numbers of lines + 1, by a part of their ids that is random; 0: none. There are twice
   as many as lines at most. */
static uint32_t *line_index;

static uint32_t *index_slot(const message_id *id)
{
	uint32_t key, *slot;

	memcpy(&key, id->bytes + sizeof(id->bytes) - sizeof(key), sizeof(key));
	for (;; key++) {
		slot = &line_index[key & (2 * lines_max - 1)];
		if (*slot == 0 ||
		    message_id_cmp(&ledger[*slot - 1].id, id) == 0)
			return slot;
	}
}

static void make_room(void)
{
	size_t i;

	if (line_count < lines_max)
		return;
	lines_max = I_MAX(2 * lines_max, (size_t)1024);
	ledger = realloc(ledger, lines_max * sizeof(*ledger));
	free(line_index);
	line_index = calloc(2 * lines_max, sizeof(*line_index));
	assert_true(ledger != NULL && line_index != NULL);
	for (i = 0; i < line_count; i++)
		*index_slot(&ledger[i].id) = (uint32_t)i + 1;
}

static void close_ledger(void)
{
	free(ledger);
	free(line_index);
	ledger = NULL;
	line_index = NULL;
	line_count = lines_max = 0;
}

static struct line *find_line(const message_id *id)
{
	uint32_t *slot = line_count == 0 ? NULL : index_slot(id);

	return slot == NULL || *slot == 0 ? NULL : &ledger[*slot - 1];
}

static void add_line(const message_id *id)
{
	make_room();
	memset(&ledger[line_count], 0, sizeof(*ledger));
	ledger[line_count].id = *id;
	*index_slot(id) = (uint32_t)++line_count;
}

static void note(const struct word *word)
{
	switch (word->what) {
	case STORED:
		add_line(&word->id);
		break;
	case DELIVERED:
		find_line(&word->id)->delivered = true;
		break;
	case REMOVING:
		find_line(&word->id)->removing = true;
		break;
	case REMOVED:
		find_line(&word->id)->removed = true;
		break;
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

static void must_be_there(struct spool *spool, const struct line *line,
			  char *body)
{
	email_message *message;
	const char *reason;

	test_spool_must_have(spool, &line->id, body,
			     make_body(&line->id, body));
	if (!line->delivered)
		return;
	assert_int_equal(spool_get(spool, &line->id, &message), IO_DONE);
	assert_int_equal(email_message_get_recipient_state(message, 0, &reason),
			 EMAIL_RECIPIENT_DELIVERED);
	email_message_unref(&message);
}

/* The set is compared as a whole, the contents of each `every`th. */
static void check_lines(struct spool *spool, size_t every)
{
	char *body = malloc(50000);
	struct line *line;
	size_t i;

	assert_non_null(body);
	for (i = 0; i < line_count; i++)
		ledger[i].found = 0;
	spool_start_scan(spool, found, NULL, NULL);
	spool_wait_scan(spool);
	for (i = 0; i < line_count; i++) {
		line = &ledger[i];
		assert_true(line->found <= 1);
		if (line->removed)
			assert_int_equal(line->found, 0);
		else if (!line->removing)
			assert_int_equal(line->found, 1);
		if (line->found > 0 && i % every == 0)
			must_be_there(spool, line, body);
	}
	free(body);
}

static void check_ledger(size_t every)
{
	struct spool *spool = test_spool_open(0);
	struct spool_strays strays;
	unsigned int total;
	char *error;

	check_lines(spool, every);
	if (every == 1)
		assert_int_equal(test_spool_damaged(spool, &total), 0);
	assert_int_equal(spool_count_strays(spool, &strays, &error), 0);
	assert_int_equal(strays.bodies, 0);
	assert_int_equal(strays.temporary, 0);
	assert_int_equal(strays.quarantined, 0);
	spool_close(&spool);
}

static size_t messages_wanted(void)
{
	const char *text = getenv("KILL_MESSAGES");

	return text == NULL ? 0 : (size_t)atol(text);
}

/* At least as many messages, 0: a few rounds. */
static void kill_in_a_loop(const char *store, size_t wanted)
{
	unsigned int words_max = wanted == 0 ? 300 : (unsigned int)wanted / 20;
	uint32_t seed = 7;
	unsigned int i;

	staying = wanted == 0 ? 1 : 6;
	for (i = 0; i < ROUNDS || line_count < wanted; i++) {
		run_writers(20 + (unsigned int)test_random(&seed) % words_max);
		check_ledger(wanted == 0 ? 1 : 101);
	}
	if (wanted > 0)
		check_ledger(1);
	printf("%s: %zu acknowledged, killed %u times\n", store, line_count, i);
	close_ledger();
}

static void test_file(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new_of("file", "");

	spool_close(&spool);
	/* each takes it ten times as long */
	kill_in_a_loop("file", messages_wanted() / 10);
}

/* Segments are so small that there are many. */
static void kill_journal(const char *what, const char *more)
{
	struct spool *spool = test_spool_new_of("journal", "");
	char path[600];
	FILE *conf;

	spool_close(&spool);
	(void)snprintf(path, sizeof(path), "%s/spool.conf", test_spool_dir());
	conf = fopen(path, "w");
	assert_non_null(conf);
	assert_true(fprintf(conf,
			    "version = 1\nstore = journal\n"
			    "segment-size = %u\n%s",
			    messages_wanted() == 0 ? 131072u : 1u << 20,
			    more) > 0);
	assert_int_equal(fclose(conf), 0);
	kill_in_a_loop(what, messages_wanted());
}

static void test_journal(void **state ATTR_UNUSED)
{
	kill_journal("journal", "compaction = off\n");
}

/* The upkeep moves what is left in half empty segments meanwhile. */
static void test_journal_with_upkeep(void **state ATTR_UNUSED)
{
	kill_journal("journal with upkeep", "");
}

/* Fewer descriptors than there are segments. */
static void limit_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = I_MIN(limit.rlim_cur, (rlim_t)128);
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_journal),
		cmocka_unit_test(test_journal_with_upkeep),
	};

	limit_descriptors();
	return cmocka_run_group_tests_name(
		"spool-killed", tests, test_spool_setup, test_spool_teardown);
}
