/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What is left of a message that a damaged record has ended: records that nobody counts, and
   whose segments will be written anew. A start collects where they are, as some may come
   behind the damage, and a removal behind those; once all is read they are kept. What goes by
   an id is in the chain of its last octet, as in the index: so who applies a part of it has
   its chains for himself. */

#include "config.h"
#include "journal/journal-private.h"
#include "mem.h"

struct journal_rest {
	struct journal_rest *next;
	message_id id;
	struct journal_place place; /* nowhere: of an end, alone */
	bool is_end;
	struct journal_end end;
};

static struct journal_rest **chain_of(struct journal *journal,
				      const message_id *id)
{
	return &journal->rests[id->bytes[15]];
}

void journal_rests_add(struct journal *journal, const message_id *id,
		       const struct journal_place *place)
{
	struct journal_rest *rest = i_new(struct journal_rest, 1);

	rest->id = *id;
	rest->place = *place;
	rest->next = *chain_of(journal, id);
	*chain_of(journal, id) = rest;
}

void journal_rests_end(struct journal *journal, const message_id *id,
		       const struct journal_end *end)
{
	static const struct journal_place nowhere;
	struct journal_rest *rest;

	journal_rests_add(journal, id, &nowhere);
	rest = *chain_of(journal, id);
	rest->is_end = true;
	rest->end = *end;
}

bool journal_rests_find_end(struct journal *journal, const message_id *id,
			    struct journal_end *end_r)
{
	const struct journal_rest *rest = *chain_of(journal, id);

	/* the newest is the first */
	while (rest != NULL &&
	       (!rest->is_end || message_id_cmp(&rest->id, id) != 0))
		rest = rest->next;
	if (rest != NULL)
		*end_r = rest->end;
	return rest != NULL;
}

void journal_rests_came(struct journal *journal, const message_id *id,
			const struct journal_place *place)
{
	const struct journal_rest *rest = *chain_of(journal, id);

	while (rest != NULL && message_id_cmp(&rest->id, id) != 0)
		rest = rest->next;
	if (rest != NULL)
		journal_rests_add(journal, id, place);
}

void journal_rests_forget(struct journal *journal, const message_id *id)
{
	struct journal_rest **link = chain_of(journal, id), *rest;

	for (rest = *link; rest != NULL; rest = *link) {
		if (message_id_cmp(&rest->id, id) == 0) {
			*link = rest->next;
			i_free(rest);
		} else {
			link = &rest->next;
		}
	}
}

void journal_rests_keep(struct journal *journal)
{
	const struct journal_rest *rest;
	unsigned int i;

	for (i = 0; i < JOURNAL_SHARDS && !journal->settings.read_only; i++) {
		for (rest = journal->rests[i]; rest != NULL; rest = rest->next)
			journal_damage_keep_rest(journal, &rest->place);
	}
	journal_rests_free(journal);
}

void journal_rests_free(struct journal *journal)
{
	struct journal_rest *rest;
	unsigned int i;

	for (i = 0; i < JOURNAL_SHARDS; i++) {
		while ((rest = journal->rests[i]) != NULL) {
			journal->rests[i] = rest->next;
			i_free(rest);
		}
	}
}
