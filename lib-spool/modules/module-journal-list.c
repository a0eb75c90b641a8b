/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Looking at all messages of the journal store, and into them. */

#include "config.h"
#include "module-journal-private.h"
#include "istream.h"
#include "mem.h"
#include "panic.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* So often at most what a writer moves all the time is looked for anew. */
#define ROUNDS_MAX 8

struct listing {
	struct journal_store *store;
	spool_entry_t *callback;
	void *context;
	bool verify, stopped;
	/* A writer beside this reader has put others in their places: they are looked
	   for behind all others, in the journal as it is then. */
	struct journal_entry *stale;
	size_t stale_count, stale_room;
	bool last_round;
	struct journal_losses losses;
};

/* False: it is to be told at once. To who is the writer ESTALE is what a filesystem of
   another machine said. */
static bool put_off(struct listing *listing, const struct journal_entry *entry)
{
	size_t room = listing->stale_room == 0 ? 64 : listing->stale_room * 2;
	struct journal_entry *stale = listing->stale;

	if (listing->last_round ||
	    (listing->store->spool->flags & SPOOL_OPEN_READ_ONLY) == 0)
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

/* What is looked at of a message. */
struct look {
	const struct journal_entry *entry;
	struct journal_header headers, body, states;
	char headers_stack[JOURNAL_STACK_MAX + 1];
	char body_stack[JOURNAL_STACK_MAX + 1];
	char states_stack[JOURNAL_STACK_MAX + 1];
	uint64_t body_size;     /* as it is stored */
	struct spool_wire wire; /* to verify */
};

static bool is_external(const struct look *look)
{
	return (look->body.flags & JOURNAL_EXTERNAL) != 0;
}

/* One of the message's records: 0, or the errno with io_set_error(). *data_r is to be
   freed. */
static int look_at(const struct listing *listing, const message_id *id,
		   enum journal_type type, char stack[JOURNAL_STACK_MAX + 1],
		   struct journal_header *header, unsigned char **data_r)
{
	*data_r = NULL;
	return journal_read(listing->store->journal, id, type, header, stack,
			    listing->verify ? data_r : NULL) < 0 ?
		errno :
		0;
}

/* The same, of one of which it is enough that it can be read. */
static int look_past(const struct listing *listing, const message_id *id,
		     enum journal_type type, char stack[JOURNAL_STACK_MAX + 1],
		     struct journal_header *header)
{
	unsigned char *data;
	int error = look_at(listing, id, type, stack, header, &data);

	i_free(data);
	return error;
}

/* A body that the stack leaves as it is need not be read again. */
static int verify_plain(struct look *look, const unsigned char *data)
{
	struct istream *body;
	int error;

	body = i_stream_create_from_data(data + look->body.stack_size,
					 (size_t)look->body.stored_size);
	error = spool_read_wire(body, &look->wire);
	i_stream_unref(&body);
	return error;
}

static int look_at_body(const struct listing *listing, struct look *look)
{
	unsigned char *data;
	int error = look_at(listing, &look->entry->id, JOURNAL_BODY,
			    look->body_stack, &look->body, &data);

	look->body_size = look->body.stored_size;
	if (error == 0 && data != NULL && !is_external(look) &&
	    spool_is_plain(look->body_stack))
		error = verify_plain(look, data);
	i_free(data);
	return error;
}

/* The same of a file that the body is in. */
static int look_at_file(const struct listing *listing, struct look *look)
{
	struct journal_external external;
	struct istream *file;
	int error = 0;

	if (journal_read_external(listing->store->journal, &look->entry->id,
				  &external) < 0)
		return errno;
	look->body_size = external.size;
	file = journal_open_external(listing->store, &look->entry->id,
				     &external);
	if (file == NULL)
		return errno;
	if (listing->verify)
		error = spool_is_plain(look->body_stack) ?
			spool_read_wire(file, &look->wire) :
			spool_read_through(file, &look->wire.size);
	i_stream_destroy(&file);
	return error;
}

static int look_at_all(const struct listing *listing, struct look *look)
{
	const message_id *id = &look->entry->id;
	int error = look_past(listing, id, JOURNAL_HEADERS, look->headers_stack,
			      &look->headers);

	if (error == 0)
		error = look_at_body(listing, look);
	if (error == 0 && look->entry->states.offset != 0)
		error = look_past(listing, id, JOURNAL_STATES,
				  look->states_stack, &look->states);
	if (error == 0 && is_external(look))
		error = look_at_file(listing, look);
	return error;
}

/* The body of the message, whose headers were read. An answer, or the error. */
static int verify_body(struct journal_store *store, struct look *look,
		       email_message *message, int *error_r)
{
	int answer = journal_readbody(&store->io, IO_SYNCHRONOUS, message);

	if (answer == IO_DONE)
		*error_r = spool_read_wire(message->body, &look->wire);
	return answer;
}

/* Reads it through its stacks, as far as there are keys: what is stored was looked at. */
static int verify_message(struct journal_store *store, struct look *look)
{
	email_message *message = email_message_new(&look->entry->id);
	bool decodes = spool_can_decode(store->spool, look->body_stack);
	int answer = IO_DONE, error = 0;

	if (spool_can_decode(store->spool, look->headers_stack) &&
	    spool_can_decode(store->spool, look->states_stack))
		answer = journal_readheaders(&store->io, IO_SYNCHRONOUS,
					     message);
	if (answer == IO_DONE && decodes && !spool_is_plain(look->body_stack))
		answer = verify_body(store, look, message, &error);
	if (answer != IO_DONE)
		error = io_get_errno() != 0 ? io_get_errno() : EINVAL;
	if (error == 0 && decodes && look->wire.size != look->body.plain_size) {
		error = EINVAL;
		errno = error;
		io_set_error("the body has another length than the journal "
			     "says");
	}
	email_message_unref(&message);
	return error == 0 ? spool_wire_fail(&look->wire) :
			    spool_unreadable(error);
}

static int look_into(const struct listing *listing, struct look *look)
{
	int error = look_at_all(listing, look);

	if (error == 0 && listing->verify)
		error = verify_message(listing->store, look);
	i_free_and_null(look->wire.why);
	return error;
}

static void describe(const struct journal_loss *loss, struct spool_entry *shown,
		     char *problem, size_t size)
{
	const struct journal_damage *damage = loss->damage;

	(void)snprintf(problem, size,
		       "the journal is damaged: segment %u, byte %llu: %s",
		       damage->segment, (unsigned long long)damage->offset,
		       damage->why);
	shown->problem = problem;
	shown->error = EINVAL;
}

static bool list_entry(const struct journal_entry *entry, void *context)
{
	struct listing *listing = context;
	struct look look = { .entry = entry };
	struct journal_loss *lost;
	struct journal_entry now;
	struct spool_entry shown;
	char problem[512];

	memset(&shown, 0, sizeof(shown));
	shown.id = entry->id;
	shown.error = look_into(listing, &look);
	shown.version = entry->version;
	shown.body_len = look.body.plain_size;
	shown.stored_size = look.headers.stored_size + look.states.stored_size +
		look.body_size;
	shown.headers_stack = look.headers_stack;
	shown.body_stack = look.body_stack;
	lost = journal_losses_of(&listing->losses, &entry->id);
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
	} else if (lost != NULL) {
		describe(lost, &shown, problem, sizeof(problem));
	}
	if (lost != NULL)
		lost->told = true;
	return listing->callback(&shown, listing->context);
}

/* What is no message. False: no more. */
static bool list_loss(struct listing *listing, const struct journal_loss *loss)
{
	struct spool_entry shown;
	char problem[512];

	memset(&shown, 0, sizeof(shown));
	shown.id = loss->damage->id;
	shown.headers_stack = shown.body_stack = "";
	describe(loss, &shown, problem, sizeof(problem));
	return listing->callback(&shown, listing->context);
}

/* Notes that it was stopped. */
static bool list_more(const struct journal_entry *entry, void *context)
{
	struct listing *listing = context;

	listing->stopped = !list_entry(entry, listing);
	return !listing->stopped;
}

/* Each of those as it is now, where it still is: what has moved once more meanwhile is put
   off again. */
static void list_those(struct listing *listing, struct journal_store *now,
		       const struct journal_entry *entries, size_t count)
{
	struct journal_store *store = listing->store;
	struct journal_entry entry;
	size_t i;

	listing->store = now;
	for (i = 0; i < count && !listing->stopped; i++) {
		if (journal_find(now->journal, &entries[i].id, &entry))
			(void)list_more(&entry, listing);
	}
	listing->store = store;
}

/* Nobody can tell what became of them. */
static void list_as_they_were(struct listing *listing,
			      const struct journal_entry *entries, size_t count)
{
	size_t i;

	listing->last_round = true;
	for (i = 0; i < count && !listing->stopped; i++)
		(void)list_more(&entries[i], listing);
}

/* The journal is opened once more for them: no writer is told that something is stale, who
	would have it open twice. */
static void list_stale(struct listing *listing)
{
	struct journal_entry *entries = listing->stale;
	size_t count = listing->stale_count;
	io_infrastructure *now;
	char *error = NULL;

	i_assert((listing->store->spool->flags & SPOOL_OPEN_READ_ONLY) != 0);
	listing->stale = NULL;
	listing->stale_count = listing->stale_room = 0;
	now = module_journal_open(listing->store->spool, &error);
	if (now != NULL) {
		list_those(listing, journal_store(now), entries, count);
		now->shared.deinit(now);
	} else {
		list_as_they_were(listing, entries, count);
	}
	i_free(error);
	i_free(entries);
}

int module_journal_list(io_infrastructure *io, enum spool_listing how,
			spool_entry_t *callback, void *context, char **error_r)
{
	struct listing listing = { .store = journal_store(io),
				   .callback = callback,
				   .context = context,
				   .verify = how == SPOOL_LISTING_VERIFY };
	unsigned int rounds;
	size_t i;

	if (how != SPOOL_LISTING_MESSAGES &&
	    !journal_losses_find(&listing.losses, listing.store->journal))
		return spool_fail(error_r, ENOMEM, "out of memory");
	journal_for_each(listing.store->journal, false, list_more, &listing);
	for (rounds = 0; listing.stale_count > 0 && !listing.stopped;
	     rounds++) {
		listing.last_round = rounds == ROUNDS_MAX - 1;
		list_stale(&listing);
	}
	i_free(listing.stale);
	for (i = 0; i < listing.losses.count && !listing.stopped; i++) {
		if (!listing.losses.losses[i].told)
			listing.stopped =
				!list_loss(&listing, &listing.losses.losses[i]);
	}
	i_free(listing.losses.losses);
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
