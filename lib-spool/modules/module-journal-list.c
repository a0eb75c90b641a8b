/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Looking at all messages of the journal store, and into them. */

#include "config.h"
#include "module-journal-private.h"
#include "istream.h"
#include "mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct listing {
	struct journal_store *store;
	spool_entry_t *callback;
	void *context;
	bool verify, stopped;
	/* A writer beside this reader has put others in their places: whether they are
	   still there is asked behind all others, and once. */
	struct journal_entry *stale;
	size_t stale_count, stale_room;
	bool at_stale; /* they are looked at again */
};

/* False: it is to be told at once. */
static bool put_off(struct listing *listing, const struct journal_entry *entry)
{
	size_t room = listing->stale_room == 0 ? 64 : listing->stale_room * 2;
	struct journal_entry *stale = listing->stale;

	if (listing->at_stale)
		return false;
	if (listing->stale_count == listing->stale_room) {
		stale = try_realloc(stale, room * sizeof(*stale));
		if (stale == NULL)
			return false;
		listing->stale = stale;
		listing->stale_room = room;
	}
	stale[listing->stale_count++] = *entry;
	return true;
}

/* One of the message's two records: 0, or the errno with io_set_error(). */
static int look_at(struct listing *listing, const message_id *id,
		   enum journal_type type, char stack[JOURNAL_STACK_MAX + 1],
		   struct journal_header *header)
{
	unsigned char *data = NULL;

	if (journal_read(listing->store->journal, id, type, header, stack,
			 listing->verify ? &data : NULL) < 0)
		return errno;
	i_free(data);
	return 0;
}

/* The same of a file that the body is in. */
static int look_at_file(struct listing *listing, const message_id *id,
			uint64_t *size_r)
{
	struct journal_external external;
	struct istream *file;
	uint64_t size;
	int error;

	if (journal_read_external(listing->store->journal, id, &external) < 0)
		return errno;
	*size_r = external.size;
	file = journal_open_external(listing->store, id, &external);
	if (file == NULL)
		return errno;
	error = listing->verify ? spool_read_through(file, &size) : 0;
	i_stream_destroy(&file);
	return error;
}

/* Reads it through its stacks, as far as there are keys; so many bytes of its body are
   stored, and what they are was looked at. */
static int verify_message(struct journal_store *store,
			  const struct spool_entry *shown,
			  const char *states_stack, uint64_t stored_body)
{
	email_message *message = email_message_new(&shown->id);
	int answer = IO_DONE, error = 0;
	uint64_t size = shown->body_len;
	bool decodes = spool_can_decode(store->spool, shown->body_stack);

	if (spool_can_decode(store->spool, shown->headers_stack) &&
	    spool_can_decode(store->spool, states_stack))
		answer = journal_readheaders(&store->io, IO_SYNCHRONOUS,
					     message);
	if (decodes && spool_is_plain(shown->body_stack)) {
		size = stored_body;
	} else if (answer == IO_DONE && decodes) {
		answer = journal_readbody(&store->io, IO_SYNCHRONOUS, message);
		if (answer == IO_DONE)
			error = spool_read_through(message->body, &size);
	}
	if (answer != IO_DONE)
		error = io_get_errno() != 0 ? io_get_errno() : EINVAL;
	if (error == 0 && size != shown->body_len) {
		error = EINVAL;
		errno = error;
		io_set_error("the body has another length than the journal "
			     "says");
	}
	email_message_unref(&message);
	return error;
}

static bool list_entry(const struct journal_entry *entry, void *context)
{
	char headers_stack[JOURNAL_STACK_MAX + 1] = "";
	char body_stack[JOURNAL_STACK_MAX + 1] = "";
	char states_stack[JOURNAL_STACK_MAX + 1] = "";
	struct journal_header headers = { 0 }, body = { 0 }, states = { 0 };
	struct listing *listing = context;
	struct journal_entry now;
	struct spool_entry shown;
	uint64_t body_size;
	char problem[512];

	memset(&shown, 0, sizeof(shown));
	shown.id = entry->id;
	shown.error = look_at(listing, &entry->id, JOURNAL_HEADERS,
			      headers_stack, &headers);
	if (shown.error == 0)
		shown.error = look_at(listing, &entry->id, JOURNAL_BODY,
				      body_stack, &body);
	if (shown.error == 0 && entry->states.offset != 0)
		shown.error = look_at(listing, &entry->id, JOURNAL_STATES,
				      states_stack, &states);
	shown.version = entry->version;
	shown.body_len = body.plain_size;
	body_size = body.stored_size;
	if (shown.error == 0 && (body.flags & JOURNAL_EXTERNAL) != 0)
		shown.error = look_at_file(listing, &entry->id, &body_size);
	shown.stored_size =
		headers.stored_size + states.stored_size + body_size;
	shown.headers_stack = headers_stack;
	shown.body_stack = body_stack;
	if (shown.error == 0 && listing->verify)
		shown.error = verify_message(listing->store, &shown,
					     states_stack, body_size);
	if (shown.error != 0) {
		(void)snprintf(problem, sizeof(problem), "%s", io_get_error());
		shown.problem = problem;
		/* by who writes beside this reader */
		if (shown.error == ESTALE && put_off(listing, entry))
			return true;
		/* who changed or removed it meanwhile may have taken a file
		   away */
		if (!journal_find(listing->store->journal, &entry->id, &now))
			return true;
		if (now.version != entry->version)
			return list_entry(&now, listing);
	}
	return listing->callback(&shown, listing->context);
}

/* What is no message. False: no more. */
static bool list_damage(struct listing *listing,
			const struct journal_damage *damage)
{
	struct spool_entry shown;
	char problem[512];

	memset(&shown, 0, sizeof(shown));
	shown.id = damage->id;
	shown.headers_stack = shown.body_stack = "";
	shown.error = EINVAL;
	(void)snprintf(problem, sizeof(problem),
		       "the journal is damaged: segment %u, byte %llu: %s",
		       damage->segment, (unsigned long long)damage->offset,
		       damage->why);
	shown.problem = problem;
	return listing->callback(&shown, listing->context);
}

/* Notes that it was stopped. */
static bool list_more(const struct journal_entry *entry, void *context)
{
	struct listing *listing = context;

	listing->stopped = !list_entry(entry, listing);
	return !listing->stopped;
}

static void list_stale(struct listing *listing)
{
	const struct journal_entry *entry;
	size_t i;

	listing->at_stale = true;
	if (listing->stale_count > 0)
		journal_forget_newer(listing->store);
	for (i = 0; i < listing->stale_count && !listing->stopped; i++) {
		entry = &listing->stale[i];
		if (journal_ask_newer(listing->store, &entry->id, NULL) != 0)
			(void)list_more(entry, listing);
	}
	i_free(listing->stale);
}

int module_journal_list(io_infrastructure *io, bool verify,
			spool_entry_t *callback, void *context,
			char **error_r ATTR_UNUSED)
{
	struct listing listing = { .store = journal_store(io),
				   .callback = callback,
				   .context = context,
				   .verify = verify };
	const struct journal_damage *damage;

	journal_for_each(listing.store->journal, false, list_more, &listing);
	list_stale(&listing);
	damage = verify ? journal_get_damage(listing.store->journal) : NULL;
	for (; damage != NULL && !listing.stopped; damage = damage->next)
		listing.stopped = !list_damage(&listing, damage);
	return 0;
}

int module_journal_count_strays(io_infrastructure *io,
				struct spool_strays *strays_r, char **error_r)
{
	const struct journal_store *store = journal_store(io);

	memset(strays_r, 0, sizeof(*strays_r));
	if (journal_count_bodies(store->journal, strays_r) == 0 &&
	    spool_count_quarantined(store->spool, strays_r) == 0)
		return 0;
	return spool_fail(error_r, errno, "looking for strays in %s failed: %s",
			  store->spool->dir, strerror(errno));
}
