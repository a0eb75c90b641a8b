/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Bodies that wait for their headers. */

#include "config.h"
#include "module-journal-private.h"
#include "mem.h"
#include "number-text.h"

#include <stdlib.h>
#include <string.h>

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

/*
 * Whose it is: several may have read a message, and not each of them writes a body.
 */

void journal_pending_note(struct journal_store *store,
			  struct journal_pending *pending,
			  email_message *message)
{
	char note[sizeof(JOURNAL_NOTE) + NUMBER_TEXT_SIZE + 1] = JOURNAL_NOTE
		" ";
	char text[NUMBER_TEXT_SIZE];
	const char *digits;

	pending->number = atomic_fetch_add(&store->last_number, 1) + 1;
	digits = number_to_text(pending->number, text);
	memcpy(note + sizeof(JOURNAL_NOTE), digits,
	       (size_t)(text + sizeof(text) - digits));
	email_message_set_store_note(message, note);
}

uint64_t journal_pending_number(const email_message *message)
{
	const char *note = email_message_get_store_note(message);
	const size_t size = sizeof(JOURNAL_NOTE) - 1;

	if (note == NULL || strncmp(note, JOURNAL_NOTE " ", size + 1) != 0)
		return 0;
	return strtoull(note + size, NULL, 10);
}

/* With the mutex. */
static struct journal_pending **find(struct journal_store *store,
				     const message_id *id)
{
	struct journal_pending **pos = &store->pending[id->bytes[15]];

	while (*pos != NULL && message_id_cmp(&(*pos)->id, id) != 0)
		pos = &(*pos)->next;
	return pos;
}

/* With the mutex. */
static struct journal_pending *unlink_at(struct journal_pending **pos)
{
	struct journal_pending *pending = *pos;

	*pos = pending->next;
	return pending;
}

struct journal_pending *journal_pending_take(struct journal_store *store,
					     const message_id *id,
					     uint64_t number)
{
	struct journal_pending **pos, *pending = NULL;

	(void)pthread_mutex_lock(&store->mutex);
	pos = find(store, id);
	if (*pos != NULL && (number == 0 || (*pos)->number == number))
		pending = unlink_at(pos);
	(void)pthread_mutex_unlock(&store->mutex);
	return pending;
}

void journal_pending_put(struct journal_store *store,
			 struct journal_pending *pending)
{
	struct journal_pending **pos, *old = NULL;

	(void)pthread_mutex_lock(&store->mutex);
	pos = find(store, &pending->id);
	if (*pos != NULL && (*pos)->number > pending->number) {
		old = pending;
	} else {
		if (*pos != NULL)
			old = unlink_at(pos);
		pending->next = *pos;
		*pos = pending;
	}
	(void)pthread_mutex_unlock(&store->mutex);
	journal_pending_drop(store, &old);
}

void journal_pending_outdate(struct journal_store *store, const message_id *id,
			     uint64_t version, bool removed)
{
	struct journal_pending **pos, *old = NULL;

	(void)pthread_mutex_lock(&store->mutex);
	pos = find(store, id);
	/* a new one of this id may be on its way behind the removal */
	if (*pos != NULL &&
	    (removed ? (*pos)->version > 0 : (*pos)->version < version))
		old = unlink_at(pos);
	(void)pthread_mutex_unlock(&store->mutex);
	journal_pending_drop(store, &old);
}
