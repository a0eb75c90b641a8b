/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Writing groups: one write, one sync. The index changes after the sync.

   A group whose write or sync failed is void: its segment is written no more (whether
   a second try reached the disk nobody could tell), and the next one begins with a
   record that says so, lest a start finds what nobody was promised. Where that cannot
   be written either, nobody is promised anything for a while. */

#include "config.h"
#include "journal/journal-group.h"
#include "crc32c.h"
#include "file-ops.h"
#include "macros.h"
#include "mem.h"
#include "panic.h"

#include <errno.h>
#include <string.h>

/* The next segment is made when an eighth of this one is written. */
#define AHEAD_PART 8
/* After two failures in a row. */
#define PROBE_SECONDS 5

/*
 * Records
 */

static uint64_t records_size(const struct journal_request *request)
{
	struct journal_header header;
	uint64_t size = 0;
	unsigned int i;

	for (i = 0; i < request->count; i++) {
		journal_record_header(&request->records[i], &header);
		size += journal_record_size(&header);
	}
	return size;
}

/*
 * A group's end
 */

/* The upkeep wants to know which one it is; of the one before much may be dead already,
   or it has nothing but tombstones. */
static void set_active(struct journal *journal, struct journal_segment *segment)
{
	(void)pthread_mutex_lock(&journal->mutex);
	journal->active = segment;
	journal->was_ahead_asked = false;
	memset(journal->ends, 0, sizeof(journal->ends));
	journal->all_moved = false;
	journal_worker_wake(journal->upkeep);
	(void)pthread_mutex_unlock(&journal->mutex);
}

/* The next one takes long to make: in time before it is needed, though not at once, since
   a small journal needs no other. */
static void ask_for_next(struct journal *journal,
			 const struct journal_segment *segment)
{
	if (journal->was_ahead_asked ||
	    segment->pos < segment->header.size / AHEAD_PART)
		return;
	journal->was_ahead_asked = true;
	(void)pthread_mutex_lock(&journal->mutex);
	journal->next_asked = journal->maker != NULL;
	journal_worker_wake(journal->maker);
	(void)pthread_mutex_unlock(&journal->mutex);
}

/* Durable, or -1 with errno: then it is void, unless the file cannot be opened now and
   nothing of it was written. */
static int end_group(struct journal *journal, struct journal_group *group)
{
	struct journal_segment *segment = group->segment;
	int fd = journal_file_hold(segment->file), ret, error;

	if (fd < 0) {
		journal_count_group(journal, group->request_count, false, 0);
		return -1;
	}
	segment->blank = false;
	ret = journal_group_write(journal, group, fd);
	journal_file_let_go(segment->file);
	if (ret == 0) {
		(void)pthread_mutex_lock(&journal->mutex);
		segment->pos = group->end;
		segment->footer_size =
			journal_footer_size(segment, group->record_count);
		segment->taken += group->taken;
		journal->vouch_wanted = true;
		(void)pthread_mutex_unlock(&journal->mutex);
		journal_count_group(journal, group->request_count, true,
				    group->sync_usecs);
		ask_for_next(journal, segment);
		return 0;
	}
	error = errno;
	journal_count_group(journal, group->request_count, false, 0);
	journal_segment_fail(journal, segment);
	set_active(journal, NULL);
	journal_add_void(journal, segment, group->pos, group->end - group->pos);
	errno = error;
	return -1;
}

/*
 * The next segment
 */

static void apply_record(struct journal *journal,
			 struct journal_segment *segment,
			 const struct journal_record *record,
			 const struct journal_place *body)
{
	struct journal_header header;
	struct journal_target target;

	journal_record_header(record, &header);
	if (record->type == JOURNAL_UNLINK || record->type == JOURNAL_VOID)
		journal_target_get(&target, record->data);
	if (!journal_apply(journal, &header, &record->place, &target, body,
			   NULL))
		i_panic("a message was written to the journal without a claim "
			"on it");
	journal_footer_add(segment, &header, record->place.offset,
			   body == NULL ? 0 : body->offset, &target);
}

static void set_crc(struct journal_record *record)
{
	size_t size = record->stack == NULL ? 0 : strlen(record->stack);

	record->payload_crc = crc32c(
		crc32c(0, record->stack == NULL ? "" : record->stack, size),
		record->size == 0 ? "" : record->data, record->size);
}

/* As many as fit into one block. */
#define VOIDS_MAX                                                           \
	(JOURNAL_BLOCK_SIZE /                                               \
	 ((JOURNAL_HEADER_SIZE + JOURNAL_TARGET_SIZE + JOURNAL_ALIGN - 1) / \
	  JOURNAL_ALIGN * JOURNAL_ALIGN))

static void add_void(struct journal *journal, struct journal_group *group,
		     struct journal_record *record,
		     const struct journal_target *target,
		     unsigned char payload[JOURNAL_TARGET_SIZE])
{
	journal_target_put(target, payload);
	memset(record, 0, sizeof(*record));
	record->type = JOURNAL_VOID;
	record->data = payload;
	record->size = JOURNAL_TARGET_SIZE;
	set_crc(record);
	journal_group_add(journal, group, record);
}

static void be_broken(struct journal *journal)
{
	journal->broken = errno;
	journal->probe_at =
		journal_now_usecs() + (uint64_t)PROBE_SECONDS * 1000000;
	if (!journal->warned)
		journal_warn(journal,
			     "%s: two writes in a row failed (%s): nothing is "
			     "taken until one succeeds, which is tried every "
			     "%d seconds while somebody wants to write",
			     journal->dir, strerror(errno), PROBE_SECONDS);
	journal->warned = true;
}

static void be_well(struct journal *journal)
{
	if (journal->warned)
		journal_warn(journal, "%s: writing succeeds again",
			     journal->dir);
	journal->warned = false;
}

/* False with errno. A request that comes late enough is a probe: what is void is written
   before it. */
static bool may_write(struct journal *journal)
{
	if (journal->broken != 0 && journal_now_usecs() >= journal->probe_at)
		journal->broken = 0;
	errno = journal->broken;
	return journal->broken == 0;
}

/* What is to be said first, and besides what others say, as far as there is room: how much
   it is. */
static unsigned int list_voids(struct journal *journal,
			       struct journal_target targets[VOIDS_MAX],
			       unsigned int *new_count_r)
{
	const struct journal_void *range;
	unsigned int count = 0;

	for (range = journal->voids; range != NULL && count < VOIDS_MAX;
	     range = range->next)
		targets[count++] = range->target;
	*new_count_r = count;
	return count +
		journal_voids_to_repeat(journal, journal->active->header.number,
					targets + count, VOIDS_MAX - count);
}

/* Says what is void, a block of it: before anything else is written. Where that fails,
   too, nobody can be promised anything here. */
static void write_voids(struct journal *journal, struct journal_group *group)
{
	unsigned char payloads[VOIDS_MAX][JOURNAL_TARGET_SIZE];
	struct journal_target targets[VOIDS_MAX];
	struct journal_record records[VOIDS_MAX];
	unsigned int i, count, new_count;

	count = list_voids(journal, targets, &new_count);
	journal_group_begin(group, journal->active);
	for (i = 0; i < count; i++)
		add_void(journal, group, &records[i], &targets[i], payloads[i]);
	if (end_group(journal, group) < 0) {
		/* else that is the first failure */
		if (new_count > 0)
			be_broken(journal);
		return;
	}
	for (i = 0; i < count; i++) {
		if (i < new_count)
			journal_void_is_declared(journal);
		apply_record(journal, group->segment, &records[i], NULL);
	}
	be_well(journal);
}

/* Whether the active segment takes so many bytes of so many records. */
static bool has_room(const struct journal *journal, uint64_t size,
		     unsigned int records)
{
	return journal->active != NULL &&
		journal_segment_has_room(journal->active, journal->active->pos,
					 size, records);
}

static bool must_say_void(const struct journal *journal)
{
	return journal->voids != NULL &&
		has_room(journal, JOURNAL_BLOCK_SIZE, VOIDS_MAX);
}

/* Whether a segment that was begun for this request says again what others do. On a full
   disk all of it is for something else, and so it is where the request needs it. */
static bool repeats_voids(struct journal *journal,
			  const struct journal_request *request)
{
	const struct journal_segment *active = journal->active;
	struct journal_target target;

	return active != NULL && active->pos == JOURNAL_BLOCK_SIZE &&
		!journal_reserve_is_full(journal) &&
		journal_segment_has_room(active, 2 * JOURNAL_BLOCK_SIZE,
					 request->size,
					 request->count + VOIDS_MAX) &&
		journal_voids_to_repeat(journal, active->header.number, &target,
					1) > 0;
}

/* Nothing more goes into it. */
static void seal(struct journal *journal)
{
	if (journal->active == NULL)
		return;
	journal->active->sealed = true;
	journal_footer_write(journal->active, journal->next_sequence - 1);
	/* dead, it may be the next */
	set_active(journal, NULL);
}

bool journal_end_active(struct journal *journal)
{
	if (journal->active == NULL ||
	    !journal_reserve_wins_by_ending(journal, journal->active))
		return false;
	seal(journal);
	return true;
}

bool journal_fits(const struct journal *journal,
		  const struct journal_request *request)
{
	uint64_t size = records_size(request) + JOURNAL_BLOCK_SIZE - 1;

	return JOURNAL_BLOCK_SIZE +
		size / JOURNAL_BLOCK_SIZE * JOURNAL_BLOCK_SIZE +
		journal_footer_most(request->count) <=
		journal->settings.segment_size;
}

static bool has(const struct journal_request *request, enum journal_type type)
{
	unsigned int i;

	for (i = 0; i < request->count; i++) {
		if (request->records[i].type == type)
			return true;
	}
	return false;
}

static bool has_headers(const struct journal_request *request)
{
	return has(request, JOURNAL_BODY) || has(request, JOURNAL_HEADERS);
}

/* Whether it writes headers once more, beside a body that is there already: as states are
   where they are not written by themselves. */
static bool is_rewrite(const struct journal_request *request)
{
	const struct journal_record *record = request->records;

	return request->count == 1 && record->type == JOURNAL_HEADERS &&
		(record->flags & JOURNAL_WITH_BODY) == 0;
}

static enum journal_use use_of(const struct journal_request *request)
{
	bool is_removal = !has_headers(request) &&
		!has(request, JOURNAL_STATES);

	if (request->gives_back)
		return is_removal             ? JOURNAL_USE_CARRY :
			request->for_removals ? JOURNAL_USE_FREE :
						JOURNAL_USE_PACK;
	if (is_removal)
		return JOURNAL_USE_REMOVE;
	return is_rewrite(request) || !has_headers(request) ? JOURNAL_USE_MOVE :
							      JOURNAL_USE_GROW;
}

void journal_prepare(struct journal_request *request)
{
	unsigned int i;

	for (i = 0; i < request->count; i++)
		set_crc(&request->records[i]);
	request->size = records_size(request);
	request->use = use_of(request);
}

/* Behind `pos`, as far as that is a matter of what is kept for others: false with
   errno. */
static bool may_take(struct journal *journal, struct journal_group *group,
		     const struct journal_request *request, uint64_t pos)
{
	uint64_t end = pos + request->size;
	enum journal_use use = (enum journal_use)request->use;

	if (end <= group->ends[use] &&
	    (use != JOURNAL_USE_GROW || journal->grow_count > 0))
		return true;
	group->ends[use] = journal_reserve_end(journal, use);
	/* who removes does not wait for segments of others */
	if (end > group->ends[use] &&
	    (group->grows || use <= JOURNAL_USE_REMOVE))
		group->ends[use] = journal_segment_make_room(journal, use, end);
	return end <= group->ends[use];
}

/* Messages beside removals could not be packed with them, so that these would not be, either. */
static bool is_for(const struct journal *journal,
		   const struct journal_segment *segment,
		   const struct journal_request *request)
{
	return (request->use != JOURNAL_USE_GROW &&
		request->use != JOURNAL_USE_PACK) ||
		!journal_is_piece(journal, segment);
}

/* Nothing in it is needed any more, though it is not full. */
static bool is_spent(struct journal *journal)
{
	const struct journal_segment *active = journal->active;
	bool spent;

	(void)pthread_mutex_lock(&journal->mutex);
	spent = active->live == 0 && active->outlives_count == 0 &&
		active->pos > JOURNAL_BLOCK_SIZE;
	(void)pthread_mutex_unlock(&journal->mutex);
	return spent;
}

/* Another one, since this one takes no more: false with errno. On a full disk there may be
   none but small ones. */
static bool go_on(struct journal *journal,
		  const struct journal_request *request, bool *was_new)
{
	uint64_t least = request->size + 2 * (uint64_t)JOURNAL_BLOCK_SIZE;
	enum journal_use use = (enum journal_use)request->use;

	if (*was_new && journal->active != NULL &&
	    journal->active->pos == JOURNAL_BLOCK_SIZE) {
		errno = ENOSPC;
		return false;
	}
	/* else what is not full would be ended in vain */
	if (journal->active != NULL && use >= JOURNAL_USE_PACK &&
	    !is_spent(journal) && !journal_segment_prepare(journal, least, use))
		return false;
	seal(journal);
	set_active(journal, journal_segment_next(journal, use));
	*was_new = true;
	return journal->active != NULL;
}

/* The segment that takes this request; NULL with errno. */
static struct journal_segment *
get_segment(struct journal *journal, struct journal_group *group,
	    const struct journal_request *request)
{
	uint64_t size = request->size;
	bool was_new = false, was_said = false;

	group->grows = request->use >= JOURNAL_USE_PACK;
	while (may_write(journal)) {
		journal_reserve_ends(journal, group->ends);
		if (must_say_void(journal) ||
		    (!was_said && repeats_voids(journal, request))) {
			was_said = true;
			write_voids(journal, group);
			continue;
		}
		if (journal->voids == NULL &&
		    has_room(journal, size, request->count) &&
		    is_for(journal, journal->active, request)) {
			if (may_take(journal, group, request,
				     journal->active->pos))
				return journal->active;
			if (!is_spent(journal))
				return NULL;
		} else if (!journal_fits(journal, request)) {
			errno = EFBIG;
			return NULL;
		}
		if (!go_on(journal, request, &was_new))
			return NULL;
	}
	return NULL;
}

/*
 * Requests
 */

static void apply_request(struct journal *journal,
			  struct journal_segment *segment,
			  const struct journal_request *request)
{
	const struct journal_place *body = NULL;
	unsigned int i;

	for (i = 0; i < request->count; i++) {
		apply_record(journal, segment, &request->records[i], body);
		body = request->records[i].type == JOURNAL_BODY ?
			&request->records[i].place :
			NULL;
	}
}

static void add_request(struct journal *journal, struct journal_group *group,
			struct journal_request *request)
{
	unsigned int i;

	for (i = 0; i < request->count; i++)
		journal_group_add(journal, group, &request->records[i]);
	if (request->use == JOURNAL_USE_GROW) {
		journal->growing++;
		journal->grow_count -= journal->grow_count > 0;
	}
	group->request_count++;
}

static bool takes(struct journal *journal, struct journal_group *group,
		  const struct journal_request *request)
{
	return group->record_count + request->count <=
		JOURNAL_GROUP_RECORDS - 1 &&
		journal_segment_has_room(
			group->segment, group->end, request->size,
			group->record_count + request->count) &&
		is_for(journal, group->segment, request) &&
		may_take(journal, group, request, group->end);
}

/* Adds as many of the requests as there is room for; the last that was added. For the first
   there is: who asked again could be told otherwise, as others change what there is. */
static struct journal_request *fill_group(struct journal *journal,
					  struct journal_group *group,
					  struct journal_request *request)
{
	add_request(journal, group, request);
	while (request->next != NULL && takes(journal, group, request->next)) {
		request = request->next;
		add_request(journal, group, request);
	}
	return request;
}

struct journal_request *journal_write_group(struct journal *journal,
					    struct journal_request *first)
{
	struct journal_group *group = journal->group;
	struct journal_segment *segment = get_segment(journal, group, first);
	struct journal_request *last = first, *rest;
	int error = 0;

	if (segment == NULL) {
		error = errno;
		/* who moves, or carries, is at it */
		if (file_is_full_disk(error) && !first->gives_back)
			journal_reserve_want_space(journal);
	} else {
		journal_group_begin(group, segment);
		last = fill_group(journal, group, first);
		if (end_group(journal, group) < 0)
			error = errno;
	}
	rest = last->next;
	last->next = NULL;
	for (; first != NULL; first = first->next) {
		first->error = error;
		first->was_tried = segment != NULL;
		if (error == 0)
			apply_request(journal, segment, first);
	}
	journal->growing = 0;
	return rest;
}

int journal_settle_voids(struct journal *journal)
{
	struct journal_request nothing = { .use = JOURNAL_USE_REMOVE };
	bool settled;
	int error;

	if (!journal_has_voids(journal))
		return 0;
	journal_begin_commit(journal);
	(void)get_segment(journal, journal->group, &nothing);
	error = errno;
	settled = journal->voids == NULL;
	journal_end_commit(journal);
	errno = error;
	return settled ? 0 : -1;
}

/* On a full disk there is no block for that, and who closes does not fail for it. */
void journal_vouch(struct journal *journal)
{
	struct journal_group *group = journal->group;
	const struct journal_segment *active = journal->active;

	if (!journal->vouch_wanted ||
	    !has_room(journal, JOURNAL_BLOCK_SIZE, 0) ||
	    active->pos + JOURNAL_BLOCK_SIZE >
		    journal_reserve_end(journal, JOURNAL_USE_GROW))
		return;
	journal_group_begin(group, journal->active);
	journal_group_add_block(journal, group);
	(void)end_group(journal, group);
}

struct journal_group *journal_group_new(void)
{
	return try_malloc(sizeof(struct journal_group));
}
