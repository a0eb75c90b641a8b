/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What has to be true of each state that is left. */

#include "config.h"
#include "crash-spool-private.h"
#include "istream.h"
#include "test-common.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char wrong[1200];

struct state {
	const struct crash_keeping *keeping;
	const int *events[2];
	size_t counts[2];
};

static unsigned int how_often(const struct state *state, int event,
			      unsigned int i)
{
	unsigned int count = 0;
	size_t part, at;

	for (part = 0; part < 2; part++) {
		for (at = 0; at < state->counts[part]; at++)
			count += state->events[part][at] == event + (int)i;
	}
	return count;
}

static bool happened(const struct state *state, int event, unsigned int i)
{
	return how_often(state, event, i) > 0;
}

static const char *problem(const char *what, unsigned int i)
{
	(void)snprintf(wrong, sizeof(wrong), "message %u: %s (%s)", i, what,
		       io_get_error());
	return wrong;
}

static bool is_damaged(const struct state *state, unsigned int i)
{
	return happened(state, DAMAGED, i);
}

/* Each version has delivered to one more. */
static bool has_states(const email_message *message)
{
	unsigned int n, count = email_message_recipient_count(message);
	uint64_t version = email_message_get_version(message);

	for (n = 0; n < count; n++) {
		if ((email_message_get_recipient_state(message, n, NULL) ==
		     EMAIL_RECIPIENT_DELIVERED) != (n + 1 < version))
			return false;
	}
	return true;
}

/* 1: there and whole; 0: absent; -1: there in part. */
static int look(struct spool *spool, unsigned int i, uint64_t *version_r)
{
	const unsigned char *data;
	email_message *message;
	const char *body;
	size_t size;
	int ret = -1;

	io_set_error("%s", "");
	if (spool_get(spool, &crash_ids[i], &message) != IO_DONE)
		return strstr(io_get_error(), "there is no message") != NULL ?
			0 :
			-1;
	*version_r = email_message_get_version(message);
	body = crash_changed[i] != NULL && *version_r > 1 ? crash_changed[i] :
							    crash_bodies[i];
	if (i_stream_read_bytes(message->body, &data, &size, strlen(body)) ==
		    1 &&
	    size == strlen(body) && memcmp(data, body, size) == 0 &&
	    has_states(message))
		ret = 1;
	email_message_unref(&message);
	return ret;
}

uint64_t crash_version(struct spool *spool, unsigned int i)
{
	uint64_t version = 0;

	assert_true(look(spool, i, &version) >= 0);
	return version;
}

static const char *check_message(struct spool *spool, unsigned int i,
				 const struct state *state,
				 unsigned int handed_out)
{
	uint64_t version = 0;
	int there = look(spool, i, &version);

	if (there < 0)
		return problem("there in part", i);
	if (handed_out != (there > 0 ? 1u : 0u))
		return problem("handed out wrongly by the scan", i);
	if (happened(state, REMOVED, i))
		return there > 0 ? problem("came back", i) : NULL;
	if (happened(state, STORED, i) && there == 0 &&
	    !happened(state, REMOVING, i))
		return problem("lost", i);
	if (there > 0 && version < 1 + how_often(state, REWRITTEN, i))
		return problem("lost its rewrite", i);
	if (there > 0 && happened(state, NOT_REWRITTEN, i) && version > 1)
		return problem("has a version that was not to be", i);
	return NULL;
}

static void found(const message_id *id, void *context)
{
	unsigned int *counts = context, i;

	for (i = 0; i < CRASH_MESSAGES; i++) {
		if (message_id_cmp(id, &crash_ids[i]) == 0)
			counts[i]++;
	}
}

static void scan(struct spool *spool, unsigned int counts[CRASH_MESSAGES])
{
	memset(counts, 0, CRASH_MESSAGES * sizeof(*counts));
	spool_start_scan(spool, found, NULL, counts);
	spool_wait_scan(spool);
}

static struct spool *try_open(const char *dir, unsigned int flags)
{
	struct spool *spool;
	char *error;

	spool = spool_open(dir, flags, NULL, &error);
	if (spool == NULL) {
		(void)snprintf(wrong, sizeof(wrong), "cannot be opened: %s",
			       error);
		free(error);
	}
	return spool;
}

const char *crash_put_aside(const char *dir, char *text, size_t size)
{
	const char *result = NULL;
	struct dirent *entry;
	char path[600];
	DIR *listing;

	(void)snprintf(path, sizeof(path), "%s/quarantine", dir);
	listing = opendir(path);
	assert_non_null(listing);
	while ((entry = readdir(listing)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(text, size, "%s was put aside", entry->d_name);
		result = text;
	}
	(void)closedir(listing);
	return result;
}

/*
 * What is damaged
 */

/* Octets in the middle of a body. */
#define PART_POS 200
#define PART_SIZE 48

static bool is_in_file(const char *path, const char *part)
{
	buffer_t *content = test_read_file(path);
	bool found = memmem(content->data, content->used, part, PART_SIZE) !=
		NULL;

	buffer_free(&content);
	return found;
}

/* A file that was being made is none. */
static bool is_below(const char *dir, const char *part)
{
	DIR *listing = opendir(dir);
	struct dirent *entry;
	bool found = false;
	struct stat st;
	char path[1024];

	assert_non_null(listing);
	while (!found && (entry = readdir(listing)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		assert_int_equal(lstat(path, &st), 0);
		if (S_ISDIR(st.st_mode))
			found = is_below(path, part);
		else
			found = S_ISREG(st.st_mode) && is_in_file(path, part);
	}
	(void)closedir(listing);
	return found;
}

static const char *damaged_are_kept(const char *dir, const struct state *state)
{
	unsigned int i;

	for (i = 0; i < CRASH_EXTRA; i++) {
		if (crash_bodies[i] != NULL && is_damaged(state, i) &&
		    !is_below(dir, crash_bodies[i] + PART_POS))
			return problem("damaged, and not kept", i);
	}
	return NULL;
}

static const char *check_messages(struct spool *spool,
				  const struct state *state,
				  unsigned int handed_out[CRASH_MESSAGES])
{
	const char *result = NULL;
	unsigned int i;

	scan(spool, handed_out);
	for (i = 0; i < CRASH_MESSAGES && result == NULL; i++) {
		if (crash_bodies[i] != NULL && !is_damaged(state, i))
			result = check_message(spool, i, state, handed_out[i]);
	}
	return result;
}

const char *crash_left_behind(struct spool *spool)
{
	struct spool_strays strays;
	char *error;

	if (spool_count_strays(spool, &strays, &error) < 0)
		fail_msg("%s", error);
	if (strays.bodies > 0)
		return "a body is left that is no message's";
	return strays.temporary > 0 ? "a temporary file is left" : NULL;
}

/* Opens it, and looks at all; extra: puts one more. */
static const char *run_once(const char *dir, const struct state *state,
			    unsigned int handed_out[CRASH_MESSAGES], bool extra)
{
	struct spool *spool = try_open(dir, state->keeping->flags);
	static const unsigned int none[CRASH_MESSAGES];
	unsigned int again[CRASH_MESSAGES];
	const char *result;

	if (spool == NULL)
		return wrong;
	result = check_messages(spool, state, handed_out);
	if (result == NULL) {
		scan(spool, again);
		if (memcmp(none, again, sizeof(again)) != 0)
			result = "a second scan hands out more";
	}
	if (result == NULL)
		result = crash_left_behind(spool);
	if (result == NULL && extra &&
	    crash_put(spool, CRASH_EXTRA, 700) != IO_DONE)
		result = problem("not taken after the start", CRASH_EXTRA);
	spool_close(&spool);
	if (result != NULL)
		return result;
	/* headers are whole, and come with their bodies: nothing ever has to be
	   put aside after a mere power cut */
	return state->keeping->has_damage ?
		damaged_are_kept(dir, state) :
		crash_put_aside(dir, wrong, sizeof(wrong));
}

static const char *run_all(const char *dir, const struct state *state,
			   bool keep)
{
	unsigned int first[CRASH_MESSAGES], again[CRASH_MESSAGES];
	const char *result;

	free(crash_bodies[CRASH_EXTRA]);
	crash_bodies[CRASH_EXTRA] = NULL;
	if (state->keeping->has_damage) {
		io_set_error("%s", "before it is opened");
		result = damaged_are_kept(dir, state);
		if (result != NULL)
			return result;
	}
	result = run_once(dir, state, first, !keep);
	if (result != NULL || keep)
		return result;
	result = run_once(dir, state, again, false);
	if (result != NULL)
		return result;
	/* recovery is idempotent, and what came behind it is there */
	first[CRASH_EXTRA] = 1;
	return memcmp(first, again, sizeof(again)) == 0 ?
		NULL :
		"a second start finds another set";
}

static void keep_state(struct crash_keeping *keeping, const char *dir,
		       const struct state *state)
{
	struct crash_kept *kept = &keeping->kept[keeping->count];

	assert_true(keeping->count < N_ELEMENTS(keeping->kept));
	(void)snprintf(kept->dir, sizeof(kept->dir), "%s%u", dir,
		       keeping->count++);
	test_remove_tree(kept->dir);
	assert_int_equal(rename(dir, kept->dir), 0);
	kept->count = state->counts[1];
	kept->events = malloc((kept->count + 1) * sizeof(*kept->events));
	assert_non_null(kept->events);
	if (kept->count > 0)
		memcpy(kept->events, state->events[1],
		       kept->count * sizeof(*kept->events));
}

const char *crash_check_spool(const char *dir, const int *events, size_t count,
			      void *context)
{
	struct crash_keeping *keeping = context;
	struct state state = { .keeping = keeping,
			       .events = { NULL, events },
			       .counts = { 0, count } };
	const char *result;
	bool keep;

	if (keeping->before != NULL) {
		state.events[0] = keeping->before->events;
		state.counts[0] = keeping->before->count;
	}
	keep = keeping->every > 0 &&
		keeping->states++ % keeping->every == keeping->every - 1;
	result = run_all(dir, &state, keep);
	if (result == NULL && keep)
		keep_state(keeping, dir, &state);
	return result;
}

void crash_keeping_free(struct crash_keeping *keeping)
{
	unsigned int i;

	for (i = 0; i < keeping->count; i++) {
		test_remove_tree(keeping->kept[i].dir);
		free(keeping->kept[i].events);
	}
	keeping->count = keeping->states = 0;
}

static unsigned int states_per_moment(unsigned int usual)
{
	const char *text = getenv("CRASH_STATES");

	return text != NULL ? (unsigned int)atoi(text) :
			      I_MAX(usual / TEST_STEP, 1u);
}

size_t crash_must_hold(struct crash_keeping *keeping, unsigned int usual)
{
	const char *result;
	size_t states;

	result = crash_explore(test_path("state"), states_per_moment(usual),
			       crash_check_spool, keeping, &states);
	printf("%zu operations, %zu states\n", crash_operation_count(), states);
	if (result != NULL)
		fail_msg("%s", result);
	return states;
}

void crash_explore_all(unsigned int usual)
{
	struct crash_keeping keeping = { 0 };

	(void)crash_must_hold(&keeping, usual);
	crash_forget();
}

void crash_must_break(enum crash_sync sync, const char *name,
		      struct crash_keeping *keeping)
{
	const char *result;
	size_t states;

	/* the workload does meet it */
	assert_true(crash_sync_count(sync) > 0);
	result = crash_explore(test_path("state"), 40, crash_check_spool,
			       keeping, &states);
	if (result == NULL)
		fail_msg("without the sync of %s nothing breaks", name);
	printf("without the sync of %s: %s\n", name, result);
}

void crash_use_memory(void)
{
	if (access("/dev/shm", W_OK) == 0)
		(void)setenv("TMPDIR", "/dev/shm", 0);
}
