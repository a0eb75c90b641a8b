/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What was read of segments is put into the index, which takes longer than to read it: each
   message is somewhere else in memory. So what footers list is put there by several threads,
   each of which has a part of the shards: what is of one message comes in the order in which
   it was written, and messages do not know of one another. */

#include "config.h"
#include "journal/journal-scan.h"
#include "macros.h"
#include "mem.h"
#include "thread-start.h"

#include <pthread.h>
#include <string.h>

#define PARTS_MIN 2u
#define PARTS_MAX 4u
/* So many segments' entries are in memory at most. */
#define WAITING_MAX 8u

/* What is to be done by all. */
struct task {
	struct journal_segment *segment;
	struct journal_entries entries;
	unsigned int left; /* parts that have not done it */
};

struct part {
	struct journal_parts *parts;
	unsigned int number;
	uint64_t done; /* tasks */
};

struct journal_parts {
	struct journal *journal;
	pthread_t threads[PARTS_MAX];
	struct part part[PARTS_MAX];

	pthread_mutex_t mutex;
	pthread_cond_t changed;
	/* Under the mutex. */
	unsigned int count; /* threads; before the first task */
	uint64_t begun, done;
	bool ending, failed;
	struct task tasks[WAITING_MAX]; /* by number modulo that */
};

/* With the mutex, which is let go meanwhile. */
static void do_task(struct part *part)
{
	struct journal_parts *parts = part->parts;
	struct task *task = &parts->tasks[part->done % WAITING_MAX];
	unsigned int count = parts->count;
	bool done;

	(void)pthread_mutex_unlock(&parts->mutex);
	done = journal_replay_part(parts->journal, task->segment,
				   &task->entries, part->number, count);
	(void)pthread_mutex_lock(&parts->mutex);
	parts->failed = parts->failed || !done;
	part->done++;
	if (--task->left > 0)
		return;
	journal_entries_free(&task->entries);
	parts->done++;
	(void)pthread_cond_broadcast(&parts->changed);
}

static void *part_main(void *context)
{
	struct part *part = context;
	struct journal_parts *parts = part->parts;

	(void)pthread_mutex_lock(&parts->mutex);
	while (part->done < parts->begun || !parts->ending) {
		if (part->done < parts->begun)
			do_task(part);
		else
			(void)pthread_cond_wait(&parts->changed, &parts->mutex);
	}
	(void)pthread_mutex_unlock(&parts->mutex);
	return NULL;
}

/* As many as there are: without any, who has something to be done does it himself. */
static void start_threads(struct journal_parts *parts)
{
	unsigned int wanted = I_MIN(I_MAX(thread_cpus(), PARTS_MIN), PARTS_MAX);
	unsigned int i;

	(void)pthread_mutex_lock(&parts->mutex);
	for (i = 0; i < wanted; i++) {
		parts->part[i].parts = parts;
		parts->part[i].number = i;
		if (thread_start(&parts->threads[i], part_main,
				 &parts->part[i]) != 0)
			break;
		parts->count++;
	}
	(void)pthread_mutex_unlock(&parts->mutex);
}

struct journal_parts *journal_parts_start(struct journal *journal)
{
	struct journal_parts *parts = try_calloc(1, sizeof(*parts));

	if (parts == NULL)
		return NULL;
	parts->journal = journal;
	(void)pthread_mutex_init(&parts->mutex, NULL);
	(void)pthread_cond_init(&parts->changed, NULL);
	start_threads(parts);
	return parts;
}

/* With the mutex: until so many are not done at most. */
static void wait_for_room(struct journal_parts *parts, unsigned int waiting)
{
	while (parts->begun - parts->done > waiting)
		(void)pthread_cond_wait(&parts->changed, &parts->mutex);
}

static bool add_task(struct journal_parts *parts,
		     struct journal_segment *segment,
		     struct journal_entries *entries)
{
	struct task *task;
	bool done;

	(void)pthread_mutex_lock(&parts->mutex);
	wait_for_room(parts, WAITING_MAX - 1);
	task = &parts->tasks[parts->begun % WAITING_MAX];
	task->segment = segment;
	task->entries = *entries;
	memset(entries, 0, sizeof(*entries));
	task->left = parts->count;
	parts->begun++;
	(void)pthread_cond_broadcast(&parts->changed);
	done = !parts->failed;
	(void)pthread_mutex_unlock(&parts->mutex);
	return done;
}

bool journal_parts_wait(struct journal_parts *parts)
{
	bool done;

	(void)pthread_mutex_lock(&parts->mutex);
	wait_for_room(parts, 0);
	done = !parts->failed;
	(void)pthread_mutex_unlock(&parts->mutex);
	return done;
}

bool journal_parts_replay(struct journal_parts *parts,
			  struct journal_segment *segment,
			  struct journal_content *content, bool last)
{
	struct journal *journal = parts->journal;

	if (!content->from_footer)
		return journal_parts_wait(parts) &&
			journal_replay(journal, segment, &content->items, last);
	journal_replay_footer(journal, segment, &content->entries);
	if (parts->count == 0)
		return journal_replay_part(journal, segment, &content->entries,
					   0, 1);
	return add_task(parts, segment, &content->entries);
}

void journal_parts_stop(struct journal_parts **_parts)
{
	struct journal_parts *parts = *_parts;
	unsigned int i;

	*_parts = NULL;
	if (parts == NULL)
		return;
	(void)pthread_mutex_lock(&parts->mutex);
	parts->ending = true;
	(void)pthread_cond_broadcast(&parts->changed);
	(void)pthread_mutex_unlock(&parts->mutex);
	for (i = 0; i < parts->count; i++)
		(void)pthread_join(parts->threads[i], NULL);
	(void)pthread_cond_destroy(&parts->changed);
	(void)pthread_mutex_destroy(&parts->mutex);
	i_free(parts);
}
