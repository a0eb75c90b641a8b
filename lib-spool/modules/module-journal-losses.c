/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Damage by messages: of one of them several records may be damaged, and headers are that
   have no body. What is told of it is what comes first in the journal. */

#include "config.h"
#include "module-journal-private.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

static const message_id nobody;

static int by_id(const void *_a, const void *_b)
{
	const struct journal_loss *a = _a, *b = _b;

	return message_id_cmp(&a->damage->id, &b->damage->id);
}

static int by_id_and_place(const void *_a, const void *_b)
{
	const struct journal_damage *a =
		((const struct journal_loss *)_a)->damage;
	const struct journal_damage *b =
		((const struct journal_loss *)_b)->damage;
	int ret = by_id(_a, _b);

	if (ret != 0)
		return ret;
	if (a->segment != b->segment)
		return a->segment < b->segment ? -1 : 1;
	return a->offset < b->offset ? -1 : a->offset > b->offset;
}

/* Of a message the first one stays. */
static void drop_repeated(struct journal_losses *losses)
{
	struct journal_loss *all = losses->losses;
	size_t i, used = 0;

	for (i = 0; i < losses->count; i++) {
		if (used == 0 || by_id(&all[used - 1], &all[i]) != 0 ||
		    message_id_cmp(&all[i].damage->id, &nobody) == 0)
			all[used++] = all[i];
	}
	losses->count = used;
}

bool journal_losses_find(struct journal_losses *losses,
			 const struct journal *journal)
{
	const struct journal_damage *damage;
	size_t count = 0;

	memset(losses, 0, sizeof(*losses));
	for (damage = journal_get_damage(journal); damage != NULL;
	     damage = damage->next)
		count++;
	if (count == 0)
		return true;
	losses->losses = try_calloc(count, sizeof(*losses->losses));
	if (losses->losses == NULL)
		return false;
	for (damage = journal_get_damage(journal); damage != NULL;
	     damage = damage->next)
		losses->losses[losses->count++].damage = damage;
	qsort(losses->losses, losses->count, sizeof(*losses->losses),
	      by_id_and_place);
	drop_repeated(losses);
	return true;
}

struct journal_loss *journal_losses_of(const struct journal_losses *losses,
				       const message_id *id)
{
	const struct journal_damage damage = { .id = *id };
	const struct journal_loss wanted = { .damage = &damage };

	return losses->count == 0 ?
		NULL :
		bsearch(&wanted, losses->losses, losses->count,
			sizeof(*losses->losses), by_id);
}
