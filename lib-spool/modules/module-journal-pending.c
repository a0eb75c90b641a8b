/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Bodies that wait for their headers. */

#include "config.h"
#include "module-journal-private.h"
#include "mem.h"

void journal_pending_init(struct journal_store *store)
{
	(void)pthread_mutex_init(&store->mutex, NULL);
}

void journal_pending_free(struct journal_store *store,
			  struct journal_pending **pending)
{
	if (*pending == NULL)
		return;
	if (!(*pending)->in_file)
		atomic_fetch_sub(&store->pending_size, (*pending)->data->used);
	buffer_free(&(*pending)->data);
	i_free(*pending);
	*pending = NULL;
}

void journal_pending_drop(struct journal_store *store,
			  struct journal_pending **pending)
{
	if (*pending != NULL && (*pending)->in_file &&
	    !(*pending)->is_spoken_of)
		journal_body_remove(store->journal, &(*pending)->id,
				    &(*pending)->external);
	journal_pending_free(store, pending);
}

void journal_pending_deinit(struct journal_store *store)
{
	struct journal_pending *pending;
	unsigned int i;

	for (i = 0; i < PENDING_CHAINS; i++) {
		while ((pending = store->pending[i]) != NULL) {
			store->pending[i] = pending->next;
			journal_pending_drop(store, &pending);
		}
	}
	(void)pthread_mutex_destroy(&store->mutex);
}

struct journal_pending *journal_pending_take(struct journal_store *store,
					     const message_id *id)
{
	struct journal_pending **pos = &store->pending[id->bytes[15]], *pending;

	(void)pthread_mutex_lock(&store->mutex);
	while (*pos != NULL && message_id_cmp(&(*pos)->id, id) != 0)
		pos = &(*pos)->next;
	pending = *pos;
	if (pending != NULL)
		*pos = pending->next;
	(void)pthread_mutex_unlock(&store->mutex);
	return pending;
}

void journal_pending_put(struct journal_store *store,
			 struct journal_pending *pending)
{
	struct journal_pending *old = journal_pending_take(store, &pending->id);
	struct journal_pending **chain = &store->pending[pending->id.bytes[15]];

	journal_pending_drop(store, &old);
	(void)pthread_mutex_lock(&store->mutex);
	pending->next = *chain;
	*chain = pending;
	(void)pthread_mutex_unlock(&store->mutex);
}
