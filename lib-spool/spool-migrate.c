/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Moving messages into another spool. Each is durable there before it is removed here:
   a crash in between leaves it in both, which the next try finds, and only
   removes. Several are on their way at once, since one alone waits for the disk; what
   became of them is told by the thread of who asked. */

#include "config.h"
#include "spool-private.h"
#include "buffer.h"
#include "istream.h"
#include "macros.h"
#include "mem.h"
#include "message-record.h"
#include "thread-start.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define THREADS_MAX 16
/* So many may be begun and not told yet. */
#define UNTOLD_MAX (2 * THREADS_MAX)

/* What became of a message, until it is told. */
struct result {
	struct result *next;
	struct spool_migrated what;
	int answer;
	char *why;
	bool stops; /* nothing more can be done */
	bool gone;  /* its owner removed it: there is nothing to tell */
};

struct item {
	message_id id;
	char *damage; /* NULL: none is known */
};

struct migration {
	struct spool *from, *to;
	unsigned int flags;
	spool_migrated_t *callback;
	void *context;
	char **error_r;

	struct item *items;
	size_t count, room;
	bool no_memory;

	pthread_t threads[THREADS_MAX];
	unsigned int thread_count;
	pthread_mutex_t mutex;
	pthread_cond_t changed; /* for who tells */
	pthread_cond_t was_told;
	/* Under the mutex. */
	size_t next, told; /* of the items */
	bool stopped;
	unsigned int working; /* threads */
	struct result *results, **results_end;
};

/*
 * Which messages
 */

static bool note_item(const struct spool_entry *entry, void *context)
{
	struct migration *migration = context;
	size_t room = migration->room == 0 ? 64 : migration->room * 2;
	struct item *items, *item;

	if (migration->count == migration->room) {
		items = try_realloc(migration->items, room * sizeof(*items));
		migration->no_memory = items == NULL;
		if (items == NULL)
			return false;
		migration->items = items;
		migration->room = room;
	}
	item = &migration->items[migration->count++];
	item->id = entry->id;
	item->damage = entry->error == EINVAL ? i_strdup(entry->problem) : NULL;
	return true;
}

static void free_items(struct migration *migration)
{
	while (migration->count > 0)
		i_free(migration->items[--migration->count].damage);
	i_free(migration->items);
}

/*
 * Whether the other spool has it
 */

/* All of it but the body; NULL: no memory. */
static buffer_t *record_of(const email_message *message)
{
	buffer_t *record = buffer_create_dynamic(default_pool, 1024);

	if (message_record_write(message, record) < 0)
		buffer_free(&record);
	return record;
}

static bool same_record(const email_message *a, const email_message *b)
{
	buffer_t *records[2] = { record_of(a), record_of(b) };
	bool same = records[0] != NULL && records[1] != NULL &&
		records[0]->used == records[1]->used &&
		memcmp(records[0]->data, records[1]->data, records[0]->used) ==
			0;

	buffer_free(&records[0]);
	buffer_free(&records[1]);
	return same;
}

/* 1 where there is more, in *size_r and *data_r; 0: it ended well; -1 with errno and
   io_set_error(). */
static int read_more(struct istream *input, const unsigned char **data_r,
		     size_t *size_r)
{
	if (i_stream_read_more(input, data_r, size_r) > 0)
		return 1;
	*size_r = 0;
	if (input->stream_errno == 0)
		return 0;
	errno = input->stream_errno;
	io_set_error("reading the body failed: %s", i_stream_get_error(input));
	return -1;
}

/* 1, 0, or -1 with errno and io_set_error(). */
static int same_body(struct istream *a, struct istream *b)
{
	const unsigned char *data[2];
	size_t size[2];
	int more[2];

	for (;;) {
		more[0] = read_more(a, &data[0], &size[0]);
		more[1] = more[0] < 0 ? -1 : read_more(b, &data[1], &size[1]);
		if (more[0] < 0 || more[1] < 0)
			return -1;
		if (more[0] != more[1])
			return 0;
		if (more[0] == 0)
			return 1;
		size[0] = I_MIN(size[0], size[1]);
		if (memcmp(data[0], data[1], size[0]) != 0)
			return 0;
		i_stream_skip(a, size[0]);
		i_stream_skip(b, size[0]);
	}
}

/* Whether both spools have the same message: an answer, with io_set_error(). */
static int compare(struct migration *migration, const message_id *id,
		   struct result *result)
{
	email_message *here = NULL, *there = NULL;
	int answer, same = 0;

	answer = spool_get(migration->from, id, &here);
	if (answer == IO_DONE) {
		result->what.body_len = here->body_len;
		answer = spool_get(migration->to, id, &there);
	}
	if (answer == IO_DONE && same_record(here, there))
		same = same_body(here->body, there->body);
	if (answer == IO_DONE && same < 0) {
		answer = io_answer_for_errno(errno);
	} else if (answer == IO_DONE && same > 0) {
		/* both may have lost as much */
		answer = spool_check_body_len(here, here->body->v_offset);
	} else if (answer == IO_DONE && same == 0) {
		errno = EEXIST;
		io_set_error("another message of this id, or another version "
			     "of it, is there already");
		answer = IO_FAIL;
	}
	email_message_unref(&here);
	email_message_unref(&there);
	return answer;
}

/*
 * One message
 */

/* In the other spool it is, and goes on counting its versions. */
static int make_new(email_message *message)
{
	if (email_message_set_first_version(
		    message, email_message_get_version(message)) < 0)
		return io_refuse(EINVAL, "its version is none");
	email_message_set_version(message, 0);
	email_message_set_store_note(message, NULL);
	return IO_DONE;
}

/* Body and headers, through the other spool's stacks; no module may skip it. */
static int put_there(struct migration *migration, const message_id *id,
		     struct result *result)
{
	email_message *message;
	int answer;

	answer = spool_get(migration->from, id, &message);
	if (answer != IO_DONE)
		return answer;
	result->what.body_len = message->body_len;
	answer = make_new(message);
	if (answer == IO_DONE)
		answer = spool_writebody(migration->to, IO_SYNCHRONOUS, message,
					 1);
	if (answer == IO_DONE)
		answer = spool_writeheaders(migration->to, IO_SYNCHRONOUS,
					    message, 1);
	/* what cannot be written there ends it all */
	result->stops = answer == IO_TRANS_FAIL &&
		message->body->stream_errno == 0;
	email_message_unref(&message);
	return answer;
}

/* Whether the store has such a message, whole or not: IO_DONE, or IO_CONT; IO_TRANS_FAIL:
   it cannot be told now. Its modules are not asked. */
static int look_there(struct spool *spool, const message_id *id)
{
	email_message *message = email_message_new(id);
	int answer = spool->store->io_readheaders(spool->store, IO_SYNCHRONOUS,
						  message);

	email_message_unref(&message);
	if (answer != IO_FAIL)
		return answer;
	return io_get_errno() == ENOENT ? IO_CONT : IO_DONE;
}

/* It was there, and may be what a killed try had no time to sync. */
static int settle(struct spool *spool, const message_id *id,
		  struct result *result)
{
	int answer = spool->store_class->settle == NULL ?
		IO_DONE :
		spool->store_class->settle(spool->store, id);

	result->stops = answer != IO_DONE;
	return answer;
}

static int copy(struct migration *migration, const message_id *id,
		struct result *result)
{
	int answer = look_there(migration->to, id);

	if (answer == IO_TRANS_FAIL)
		return answer;
	/* first, since modules over there have it, too */
	if (answer == IO_DONE) {
		result->what.was_there = true;
		answer = compare(migration, id, result);
		return answer == IO_DONE ? settle(migration->to, id, result) :
					   answer;
	}
	return put_there(migration, id, result);
}

/* Whoever has the spool open for writing removes messages while they are copied: what is
   listed and not there any more has not failed. */
static bool was_removed(const struct migration *migration, const message_id *id)
{
	return (migration->flags & SPOOL_MIGRATE_KEEP) != 0 &&
		look_there(migration->from, id) == IO_CONT;
}

static int migrate_one(struct migration *migration, const message_id *id,
		       struct result *result)
{
	int answer = copy(migration, id, result);

	if (answer != IO_DONE || (migration->flags & SPOOL_MIGRATE_KEEP) != 0)
		return answer;
	answer = spool_remove(migration->from, id);
	result->stops = answer != IO_DONE;
	return answer;
}

/*
 * Many on their way
 */

/* NULL: there is none, or no other one is to be begun. */
static struct result *take_next(struct migration *migration)
{
	struct result *result = NULL;
	struct item *item;

	(void)pthread_mutex_lock(&migration->mutex);
	while (!migration->stopped && migration->next < migration->count &&
	       migration->next - migration->told >= UNTOLD_MAX)
		(void)pthread_cond_wait(&migration->was_told,
					&migration->mutex);
	if (!migration->stopped && migration->next < migration->count) {
		result = i_new(struct result, 1);
		item = &migration->items[migration->next++];
		result->what.id = item->id;
		result->what.total = migration->count;
		result->why = item->damage;
		item->damage = NULL;
	}
	(void)pthread_mutex_unlock(&migration->mutex);
	return result;
}

static struct result *migrate_next(struct migration *migration)
{
	struct result *result = take_next(migration);

	if (result == NULL)
		return NULL;
	if (result->why != NULL) {
		result->what.error = EINVAL;
		return result;
	}
	result->answer = migrate_one(migration, &result->what.id, result);
	if (result->answer != IO_DONE) {
		result->what.error = io_get_errno() != 0 ? io_get_errno() :
							   EINVAL;
		result->why = i_strdup(io_get_error());
		result->gone = !result->stops &&
			was_removed(migration, &result->what.id);
	}
	return result;
}

static void *migrate_many(void *context)
{
	struct migration *migration = context;
	struct result *result;

	do {
		result = migrate_next(migration);
		(void)pthread_mutex_lock(&migration->mutex);
		if (result != NULL) {
			*migration->results_end = result;
			migration->results_end = &result->next;
		} else {
			migration->working--;
		}
		(void)pthread_cond_signal(&migration->changed);
		(void)pthread_mutex_unlock(&migration->mutex);
	} while (result != NULL);
	return NULL;
}

/* Waits for one; NULL: that was all. */
static struct result *next_result(struct migration *migration)
{
	struct result *result;

	if (migration->thread_count == 0)
		return migrate_next(migration);
	(void)pthread_mutex_lock(&migration->mutex);
	while (migration->results == NULL && migration->working > 0)
		(void)pthread_cond_wait(&migration->changed, &migration->mutex);
	result = migration->results;
	if (result != NULL)
		migration->results = result->next;
	if (migration->results == NULL)
		migration->results_end = &migration->results;
	(void)pthread_mutex_unlock(&migration->mutex);
	return result;
}

static void note_told(struct migration *migration, bool stop)
{
	(void)pthread_mutex_lock(&migration->mutex);
	migration->told++;
	if (stop)
		migration->stopped = true;
	(void)pthread_cond_broadcast(&migration->was_told);
	(void)pthread_mutex_unlock(&migration->mutex);
}

/* False: no other one is to be begun. */
static bool tell(struct migration *migration, struct result *result)
{
	result->what.problem = result->why;
	if (result->gone)
		return true;
	return migration->callback == NULL ||
		migration->callback(&result->what, migration->context);
}

/* -1 with errno and *error_r: nothing more can be done. */
static int tell_all(struct migration *migration)
{
	struct result *result;
	int error = 0;
	bool stop;

	while ((result = next_result(migration)) != NULL) {
		stop = result->stops || !tell(migration, result);
		/* there may be others that can do no more */
		if (result->stops && error == 0) {
			error = result->what.error;
			(void)spool_fail(migration->error_r, error, "%s",
					 result->why);
		}
		note_told(migration, stop);
		i_free(result->why);
		i_free(result);
	}
	errno = error;
	return error == 0 ? 0 : -1;
}

/* As many as there are; without any the caller's has to do. */
static void start_threads(struct migration *migration)
{
	size_t wanted = I_MIN(migration->count, (size_t)THREADS_MAX);

	(void)pthread_mutex_lock(&migration->mutex);
	while (migration->thread_count < wanted &&
	       thread_start(&migration->threads[migration->thread_count],
			    migrate_many, migration) == 0)
		migration->thread_count++;
	migration->working = migration->thread_count;
	(void)pthread_mutex_unlock(&migration->mutex);
}

static int migrate_all(struct migration *migration)
{
	int ret, error;

	migration->results_end = &migration->results;
	(void)pthread_mutex_init(&migration->mutex, NULL);
	(void)pthread_cond_init(&migration->changed, NULL);
	(void)pthread_cond_init(&migration->was_told, NULL);
	start_threads(migration);
	ret = tell_all(migration);
	error = errno;
	while (migration->thread_count > 0)
		(void)pthread_join(
			migration->threads[--migration->thread_count], NULL);
	(void)pthread_cond_destroy(&migration->was_told);
	(void)pthread_cond_destroy(&migration->changed);
	(void)pthread_mutex_destroy(&migration->mutex);
	errno = error;
	return ret;
}

/*
 * All of them
 */

static int check_spools(const struct migration *migration)
{
	if ((migration->flags & ~(unsigned int)SPOOL_MIGRATE_KEEP) != 0)
		return spool_fail(migration->error_r, EINVAL,
				  "the flags 0x%x of a migration are not known",
				  migration->flags);
	if (migration->from->store == NULL || migration->to->store == NULL)
		return spool_fail(migration->error_r, ENOTSUP,
				  "a spool without a native store has nothing "
				  "to migrate");
	if (migration->from == migration->to)
		return spool_fail(migration->error_r, EINVAL,
				  "%s cannot be migrated into itself",
				  migration->from->dir);
	if ((migration->to->flags & SPOOL_OPEN_READ_ONLY) != 0)
		return spool_fail(migration->error_r, EROFS,
				  "%s is open for reading only",
				  migration->to->dir);
	if ((migration->from->flags & SPOOL_OPEN_READ_ONLY) != 0 &&
	    (migration->flags & SPOOL_MIGRATE_KEEP) == 0)
		return spool_fail(migration->error_r, EROFS,
				  "%s is open for reading only: its messages "
				  "can only be copied",
				  migration->from->dir);
	return 0;
}

int spool_migrate(struct spool *from, struct spool *to, unsigned int flags,
		  spool_migrated_t *callback, void *context, char **error_r)
{
	struct migration migration = { .from = from,
				       .to = to,
				       .flags = flags,
				       .callback = callback,
				       .context = context,
				       .error_r = error_r };
	int ret = check_spools(&migration), error;

	/* first all, since a list of what is being removed may be another one */
	if (ret == 0)
		ret = from->store_class->list(from->store, SPOOL_LISTING_LOSSES,
					      note_item, &migration, error_r);
	if (ret == 0 && migration.no_memory)
		ret = spool_fail(error_r, ENOMEM, "out of memory");
	if (ret == 0)
		ret = migrate_all(&migration);
	error = errno;
	free_items(&migration);
	errno = error;
	return ret;
}
