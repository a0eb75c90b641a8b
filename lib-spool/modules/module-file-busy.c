/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What this process is doing to which message: so that the scan takes no body for
   an orphan whose headers are about to come; and so that of two who change one
   message, one is first. */

#include "config.h"
#include "mem.h"
#include "module-file-private.h"
#include "panic.h"

#include <stdlib.h>

struct busy_id {
	struct busy_id *next;
	message_id id;
	unsigned int writing; /* bodies that are being written */
	unsigned int
		waiting; /* who waits for the claim, or until it is swept */
	bool unsettled;  /* a body is there that waits for its headers */
	bool in_doubt;   /* these failed when they had their name */
	bool claimed;
	bool swept; /* bodies of it are removed, and none may begin */
};

static struct busy_id **find(struct file_store *store, const message_id *id)
{
	struct busy_id **pos;

	/* the last octets are random */
	pos = &store->busy[(id->bytes[14] << 8 | id->bytes[15]) %
			   FILE_BUSY_CHAINS];
	while (*pos != NULL && message_id_cmp(&(*pos)->id, id) != 0)
		pos = &(*pos)->next;
	return pos;
}

static struct busy_id *get(struct file_store *store, const message_id *id)
{
	struct busy_id **pos = find(store, id);

	if (*pos == NULL) {
		*pos = i_new(struct busy_id, 1);
		(*pos)->id = *id;
	}
	return *pos;
}

static bool is_needed(const struct busy_id *busy)
{
	return busy->writing > 0 || busy->waiting > 0 || busy->unsettled ||
		busy->in_doubt || busy->claimed || busy->swept;
}

static void drop_unneeded(struct busy_id **pos)
{
	struct busy_id *busy = *pos;

	if (!is_needed(busy)) {
		*pos = busy->next;
		i_free(busy);
	}
}

/* Something that somebody may wait for is over. With the mutex. */
static void let_others(struct file_store *store, struct busy_id **pos)
{
	if ((*pos)->waiting > 0)
		(void)pthread_cond_broadcast(&store->released);
	drop_unneeded(pos);
}

void file_busy_begin(struct file_store *store, const message_id *id)
{
	struct busy_id *busy;

	(void)pthread_mutex_lock(&store->mutex);
	busy = get(store, id);
	busy->waiting++;
	while (busy->swept)
		(void)pthread_cond_wait(&store->released, &store->mutex);
	busy->waiting--;
	busy->writing++;
	(void)pthread_mutex_unlock(&store->mutex);
}

void file_busy_end(struct file_store *store, const message_id *id, bool written)
{
	struct busy_id **pos;

	(void)pthread_mutex_lock(&store->mutex);
	pos = find(store, id);
	i_assert(*pos != NULL && (*pos)->writing > 0);
	(*pos)->writing--;
	(*pos)->unsettled |= written;
	drop_unneeded(pos);
	(void)pthread_mutex_unlock(&store->mutex);
}

void file_busy_settle(struct file_store *store, const message_id *id)
{
	struct busy_id **pos;

	(void)pthread_mutex_lock(&store->mutex);
	pos = find(store, id);
	if (*pos != NULL) {
		(*pos)->unsettled = (*pos)->in_doubt = false;
		drop_unneeded(pos);
	}
	(void)pthread_mutex_unlock(&store->mutex);
}

void file_busy_doubt(struct file_store *store, const message_id *id)
{
	(void)pthread_mutex_lock(&store->mutex);
	get(store, id)->in_doubt = true;
	(void)pthread_mutex_unlock(&store->mutex);
}

bool file_is_in_doubt(struct file_store *store, const message_id *id)
{
	struct busy_id *busy;
	bool ret;

	(void)pthread_mutex_lock(&store->mutex);
	busy = *find(store, id);
	ret = busy != NULL && busy->in_doubt;
	(void)pthread_mutex_unlock(&store->mutex);
	return ret;
}

bool file_is_busy(struct file_store *store, const message_id *id)
{
	struct busy_id *busy;
	bool ret;

	(void)pthread_mutex_lock(&store->mutex);
	busy = *find(store, id);
	ret = busy != NULL && (busy->writing > 0 || busy->unsettled);
	(void)pthread_mutex_unlock(&store->mutex);
	return ret;
}

bool file_sweep_begin(struct file_store *store, const message_id *id)
{
	struct busy_id *busy;
	bool begun;

	(void)pthread_mutex_lock(&store->mutex);
	busy = get(store, id);
	begun = busy->writing == 0 && !busy->unsettled;
	busy->swept = begun;
	(void)pthread_mutex_unlock(&store->mutex);
	return begun;
}

void file_sweep_end(struct file_store *store, const message_id *id)
{
	struct busy_id **pos;

	(void)pthread_mutex_lock(&store->mutex);
	pos = find(store, id);
	i_assert(*pos != NULL && (*pos)->swept);
	(*pos)->swept = false;
	let_others(store, pos);
	(void)pthread_mutex_unlock(&store->mutex);
}

void file_claim(struct file_store *store, const message_id *id)
{
	struct busy_id *busy;

	(void)pthread_mutex_lock(&store->mutex);
	busy = get(store, id);
	busy->waiting++;
	while (busy->claimed)
		(void)pthread_cond_wait(&store->released, &store->mutex);
	busy->waiting--;
	busy->claimed = true;
	(void)pthread_mutex_unlock(&store->mutex);
}

void file_release(struct file_store *store, const message_id *id)
{
	struct busy_id **pos;

	(void)pthread_mutex_lock(&store->mutex);
	pos = find(store, id);
	i_assert(*pos != NULL && (*pos)->claimed);
	(*pos)->claimed = false;
	let_others(store, pos);
	(void)pthread_mutex_unlock(&store->mutex);
}

bool file_busy_init(struct file_store *store)
{
	if (pthread_mutex_init(&store->mutex, NULL) != 0 ||
	    pthread_cond_init(&store->released, NULL) != 0)
		i_panic("out of memory");
	store->busy = try_calloc(FILE_BUSY_CHAINS, sizeof(*store->busy));
	return store->busy != NULL;
}

void file_busy_deinit(struct file_store *store)
{
	struct busy_id *busy;
	unsigned int i;

	for (i = 0; i < FILE_BUSY_CHAINS && store->busy != NULL; i++) {
		while ((busy = store->busy[i]) != NULL) {
			store->busy[i] = busy->next;
			i_free(busy);
		}
	}
	free(store->busy);
	(void)pthread_cond_destroy(&store->released);
	(void)pthread_mutex_destroy(&store->mutex);
}
