/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Which messages no scan is to hand out: those that this process has stored, since it
   knows of them, and those that a scan has handed out. Nothing on the disk tells them
   from others, so their ids are kept, until a scan has gone through all that was there
   when the store was opened: behind that one nothing is handed out any more. */

#include "config.h"
#include "endian-io.h"
#include "mem.h"
#include "module-file-private.h"

#include <stdlib.h>

#define CHAINS_MIN 1024

struct known_id {
	struct known_id *next;
	message_id id;
};

/* Ids that other programs made may differ in any of their bytes. */
static struct known_id **chain_of(const struct file_known *known,
				  const message_id *id)
{
	const uint64_t factor = UINT64_C(0x9e3779b97f4a7c15); /* 2^64 / phi */
	uint64_t hash;

	hash = get_be64(id->bytes) * factor + get_be64(id->bytes + 8);
	hash = (hash * factor) >> 32;
	return &known->chains[hash % known->chain_count];
}

/* Where it is, or NULL is: there are chains. */
static struct known_id **find(const struct file_known *known,
			      const message_id *id)
{
	struct known_id **pos = chain_of(known, id);

	while (*pos != NULL && message_id_cmp(&(*pos)->id, id) != 0)
		pos = &(*pos)->next;
	return pos;
}

static void move_all(struct file_known *from, struct file_known *to)
{
	struct known_id *entry, **chain;
	size_t i;

	for (i = 0; i < from->chain_count; i++) {
		while ((entry = from->chains[i]) != NULL) {
			from->chains[i] = entry->next;
			chain = chain_of(to, &entry->id);
			entry->next = *chain;
			*chain = entry;
		}
	}
}

/* As many chains as ids, about. False: there are none, and no memory for them; where there
   are some they become longer. */
static bool grow(struct file_known *known)
{
	struct file_known more = *known;

	if (known->count < known->chain_count)
		return true;
	more.chain_count = known->chain_count == 0 ? CHAINS_MIN :
						     known->chain_count * 2;
	more.chains = try_calloc(more.chain_count, sizeof(*more.chains));
	if (more.chains == NULL)
		return known->chain_count > 0;
	move_all(known, &more);
	free(known->chains);
	*known = more;
	return true;
}

static int add(struct file_known *known, const message_id *id)
{
	struct known_id *entry, **pos;

	if (known->all)
		return 0;
	if (!grow(known))
		return -1;
	pos = find(known, id);
	if (*pos != NULL)
		return 0;
	entry = try_calloc(1, sizeof(*entry));
	if (entry == NULL)
		return -1;
	entry->id = *id;
	*pos = entry;
	known->count++;
	return 1;
}

int file_known_add(struct file_store *store, const message_id *id)
{
	int ret;

	(void)pthread_mutex_lock(&store->mutex);
	ret = add(&store->known, id);
	(void)pthread_mutex_unlock(&store->mutex);
	return ret;
}

static void drop(struct file_known *known, const message_id *id)
{
	struct known_id *entry, **pos;

	if (known->count == 0)
		return;
	pos = find(known, id);
	entry = *pos;
	if (entry == NULL)
		return;
	*pos = entry->next;
	free(entry);
	known->count--;
}

void file_known_drop(struct file_store *store, const message_id *id)
{
	(void)pthread_mutex_lock(&store->mutex);
	drop(&store->known, id);
	(void)pthread_mutex_unlock(&store->mutex);
}

bool file_is_known(struct file_store *store, const message_id *id)
{
	const struct file_known *known = &store->known;
	bool ret;

	(void)pthread_mutex_lock(&store->mutex);
	ret = known->all || (known->count > 0 && *find(known, id) != NULL);
	(void)pthread_mutex_unlock(&store->mutex);
	return ret;
}

static void free_all(struct file_known *known)
{
	struct known_id *entry;
	size_t i;

	for (i = 0; i < known->chain_count; i++) {
		while ((entry = known->chains[i]) != NULL) {
			known->chains[i] = entry->next;
			free(entry);
		}
	}
	free(known->chains);
	known->chains = NULL;
	known->chain_count = known->count = 0;
}

void file_known_all(struct file_store *store)
{
	(void)pthread_mutex_lock(&store->mutex);
	free_all(&store->known);
	store->known.all = true;
	(void)pthread_mutex_unlock(&store->mutex);
}

void file_known_deinit(struct file_store *store)
{
	free_all(&store->known);
}
