/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Which ids are being written, so that the scan takes no body for an orphan whose
   headers are about to come, and hands out no message that this process wrote
   while the scan ran. */

#include "config.h"
#include "mem.h"
#include "module-file-private.h"

struct busy_id {
	struct busy_id *next;
	message_id id;
	bool committed; /* kept only for the scan that is running */
};

static struct busy_id **find(struct file_store *store, const message_id *id)
{
	struct busy_id **pos = &store->busy;

	while (*pos != NULL && message_id_cmp(&(*pos)->id, id) != 0)
		pos = &(*pos)->next;
	return pos;
}

static void drop(struct busy_id **pos)
{
	struct busy_id *busy = *pos;

	*pos = busy->next;
	i_free(busy);
}

void file_busy_add(struct file_store *store, const message_id *id)
{
	struct busy_id **pos;

	(void)pthread_mutex_lock(&store->mutex);
	pos = find(store, id);
	if (*pos == NULL) {
		*pos = i_new(struct busy_id, 1);
		(*pos)->id = *id;
	}
	(*pos)->committed = false;
	(void)pthread_mutex_unlock(&store->mutex);
}

void file_busy_remove(struct file_store *store, const message_id *id)
{
	struct busy_id **pos;

	(void)pthread_mutex_lock(&store->mutex);
	pos = find(store, id);
	if (*pos != NULL && store->scanning)
		(*pos)->committed = true;
	else if (*pos != NULL)
		drop(pos);
	(void)pthread_mutex_unlock(&store->mutex);
}

bool file_is_busy(struct file_store *store, const message_id *id)
{
	bool busy;

	(void)pthread_mutex_lock(&store->mutex);
	busy = *find(store, id) != NULL;
	(void)pthread_mutex_unlock(&store->mutex);
	return busy;
}

void file_busy_scan(struct file_store *store, bool scanning)
{
	struct busy_id **pos;

	(void)pthread_mutex_lock(&store->mutex);
	store->scanning = scanning;
	for (pos = &store->busy; *pos != NULL;) {
		if (!scanning && (*pos)->committed)
			drop(pos);
		else
			pos = &(*pos)->next;
	}
	(void)pthread_mutex_unlock(&store->mutex);
}

void file_busy_free(struct file_store *store)
{
	while (store->busy != NULL)
		drop(&store->busy);
}
