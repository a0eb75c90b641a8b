/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* A spool in a journal whose segments were damaged: bytes changed, blocks replaced by others,
   files cut or gone. Whatever it is, the spool can be read and written to; a message of
   whose records no byte was changed is there as it was; one that is read to its end is one
   that was stored; what was removed stays away, and a second start finds what the first one
   found. */

#include "config.h"
#include "fuzz-common.h"
#include "fuzz-spool.h"

#include "journal/journal-format.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define OPS_MAX 12u

/*
 * Damage
 */

struct damage {
	buffer_t *segments[FUZZ_SEGMENTS_MAX]; /* NULL: gone */
	bool first_block; /* of one of them is damaged, or it is gone */
};

/* Those who have a record in these bytes of a segment, as it was. */
static void touch(unsigned int segment, size_t from, size_t to)
{
	const unsigned char *data = fuzz_segments[segment]->data->data;
	size_t size = fuzz_segments[segment]->data->used, pos, record_size;
	struct journal_segment_header header;
	struct journal_header record;
	struct fuzz_message *m;
	bool all = from < JOURNAL_HEADER_SIZE;

	if (size < JOURNAL_BLOCK_SIZE ||
	    journal_segment_header_get(&header, data) != JOURNAL_SEGMENT_VALID)
		return;
	for (pos = JOURNAL_BLOCK_SIZE; pos < size; pos += record_size) {
		record_size = JOURNAL_ALIGN;
		if (!journal_header_get(&record, header.incarnation,
					data + pos))
			continue;
		record_size = (size_t)journal_record_size(&record);
		m = fuzz_find_message(&record.id);
		if (m != NULL &&
		    (all || (from < pos + record_size && to > pos)))
			m->touched = true;
	}
}

static void change_byte(struct damage *d, unsigned int segment, size_t offset,
			unsigned int value)
{
	buffer_t *buf = d->segments[segment];
	unsigned char *data;

	if (buf == NULL || offset >= buf->used || value == 0)
		return;
	data = buffer_get_modifiable_data(buf, NULL);
	data[offset] ^= (unsigned char)value;
	touch(segment, offset, offset + 1);
	if (offset < JOURNAL_HEADER_SIZE)
		d->first_block = true;
}

static void cut(struct damage *d, unsigned int segment, size_t size)
{
	buffer_t *buf = d->segments[segment];

	if (buf == NULL || size >= buf->used)
		return;
	buffer_set_used_size(buf, size);
	touch(segment, size, SIZE_MAX);
	if (size < JOURNAL_HEADER_SIZE)
		d->first_block = true;
}

/* The longest record, in blocks, and more. */
#define RECORD_BLOCKS 4u

/* source FUZZ_SEGMENTS_MAX: zeros. A copy of a message's records may come behind what overruled
   them; and where it is of the beginning of a long record, what stands there now is taken
   for its bytes. */
static void replace_block(struct damage *d, unsigned int segment,
			  unsigned int block, unsigned int source,
			  unsigned int source_block)
{
	static const unsigned char zeros[JOURNAL_BLOCK_SIZE];
	size_t to = (size_t)block * JOURNAL_BLOCK_SIZE;
	size_t from = (size_t)source_block * JOURNAL_BLOCK_SIZE;
	const unsigned char *bytes = zeros;
	buffer_t *buf = d->segments[segment];

	if (buf == NULL || to + JOURNAL_BLOCK_SIZE > buf->used)
		return;
	if (source < FUZZ_SEGMENTS_MAX) {
		if (from + JOURNAL_BLOCK_SIZE >
		    fuzz_segments[source]->data->used)
			return;
		bytes = fuzz_segments[source]->data->data;
		bytes += from;
		touch(source, from, from + JOURNAL_BLOCK_SIZE);
		if (from == 0)
			touch(segment, 0, SIZE_MAX);
	}
	buffer_write(buf, to, bytes, JOURNAL_BLOCK_SIZE);
	touch(segment, to, to + RECORD_BLOCKS * JOURNAL_BLOCK_SIZE);
	if (to == 0)
		d->first_block = true;
}

static void remove_segment(struct damage *d, unsigned int segment)
{
	buffer_free(&d->segments[segment]);
	touch(segment, 0, SIZE_MAX);
	d->first_block = true;
}

static void damage_once(struct damage *d, struct fuzz_input *in)
{
	unsigned int what = fuzz_byte(in), offset;
	unsigned int segment = fuzz_byte(in) % fuzz_segment_count;

	switch (what % 8) {
	case 0:
	case 1:
	case 2:
		offset = fuzz_byte(in) << 8;
		offset |= fuzz_byte(in);
		change_byte(d, segment, offset, fuzz_byte(in));
		break;
	case 3:
		/* in the header of a record */
		offset = fuzz_byte(in) << 8;
		offset |= what & 0xc0;
		change_byte(d, segment, offset + what / 8 % 8 * 8,
			    fuzz_byte(in));
		break;
	case 4:
		offset = fuzz_byte(in) << 8;
		cut(d, segment, offset | fuzz_byte(in));
		break;
	case 5:
		offset = fuzz_byte(in);
		replace_block(d, segment, offset % 16,
			      fuzz_byte(in) % fuzz_segment_count, offset / 16);
		break;
	case 6:
		replace_block(d, segment, fuzz_byte(in) % 16, FUZZ_SEGMENTS_MAX,
			      0);
		break;
	default:
		if (fuzz_byte(in) == 0x7f && d->segments[segment] != NULL)
			remove_segment(d, segment);
		break;
	}
}

static void damage_spool(struct damage *d, struct fuzz_input *in)
{
	unsigned int i;
	char path[900];

	memset(d, 0, sizeof(*d));
	for (i = 0; i < fuzz_segment_count; i++) {
		d->segments[i] = buffer_create_dynamic(default_pool, 65536);
		buffer_append(d->segments[i], fuzz_segments[i]->data->data,
			      fuzz_segments[i]->data->used);
	}
	for (i = 0; i < OPS_MAX && fuzz_left(in) > 0; i++)
		damage_once(d, in);
	for (i = 0; i < fuzz_segment_count; i++) {
		(void)snprintf(path, sizeof(path), "%s%s", fuzz_spool_dir,
			       fuzz_segments[i]->path);
		if (d->segments[i] == NULL)
			assert_int_equal(unlink(path), 0);
		else
			test_write_file(path, d->segments[i]->data,
					d->segments[i]->used);
		buffer_free(&d->segments[i]);
	}
}

static void damage_body(struct fuzz_input *in)
{
	unsigned int offset = fuzz_byte(in) << 8;
	char path[900];

	offset |= fuzz_byte(in);
	(void)snprintf(path, sizeof(path), "%s%s", fuzz_spool_dir,
		       fuzz_body_file->path);
	test_flip(path, offset);
	fuzz_messages[FUZZ_LARGE_MESSAGE].touched = true;
}

/*
 * What is there
 */

struct set {
	bool listed[FUZZ_MESSAGES];
	bool extra; /* what was put afterwards */
	message_id extra_id;
	unsigned int others;
};

static bool note_entry(const struct spool_entry *entry, void *context)
{
	struct set *set = context;
	struct fuzz_message *m = fuzz_find_message(&entry->id);
	static const message_id nobody;

	if (m == NULL) {
		if (message_id_cmp(&entry->id, &set->extra_id) == 0)
			set->extra = true;
		else if (message_id_cmp(&entry->id, &nobody) != 0)
			set->others++;
		return true;
	}
	set->listed[m - fuzz_messages] = true;
	if (!m->touched) {
		if (entry->problem != NULL)
			fail_msg("message %zu: %s", m - fuzz_messages,
				 entry->problem);
		assert_int_equal(entry->version, m->version + m->added);
	}
	return true;
}

static void list_spool(struct spool *spool, struct set *set)
{
	message_id extra_id = set->extra_id;
	char *error;

	memset(set, 0, sizeof(*set));
	set->extra_id = extra_id;
	if (spool_list(spool, note_entry, set, &error) < 0)
		fail_msg("%s", error);
	assert_int_equal(set->others, 0);
}

static void verify_spool(struct spool *spool)
{
	struct set set = { .extra = false };
	char *error;

	if (spool_verify(spool, note_entry, &set, &error) < 0)
		fail_msg("%s", error);
}

static void must_be_stored(const struct fuzz_message *m, const buffer_t *body)
{
	unsigned int i;

	for (i = 0; i < m->body_count; i++) {
		if (m->bodies[i]->used == body->used &&
		    memcmp(m->bodies[i]->data, body->data, body->used) == 0 &&
		    (m->touched || i == m->body_count - 1))
			return;
	}
	fail_msg("message %zu: %zu bytes that were not stored",
		 m - fuzz_messages, body->used);
}

static void look_at_message(struct spool *spool, const struct fuzz_message *m,
			    bool gone)
{
	buffer_t *out = buffer_create_dynamic(default_pool, 1024);
	int error = test_spool_read(spool, &m->id, 0, out);

	if (gone || (m->removed && !m->touched)) {
		if (error != ENOENT)
			fail_msg("message %zu is back: errno %d",
				 m - fuzz_messages, error);
	} else if (error == 0) {
		must_be_stored(m, out);
	} else if (!m->touched) {
		fail_msg("message %zu: errno %d: %s", m - fuzz_messages, error,
			 io_get_error());
	}
	buffer_free(&out);
}

/* removed: one that was removed afterwards, or NULL. */
static void look_at_all(struct spool *spool, const struct fuzz_message *removed)
{
	unsigned int n;

	for (n = 0; n < FUZZ_MESSAGES; n++)
		look_at_message(spool, &fuzz_messages[n],
				removed == &fuzz_messages[n]);
}

static struct spool *open_spool(unsigned int flags, const struct damage *d)
{
	char *error;
	struct spool *spool = spool_open(fuzz_spool_dir, flags, NULL, &error);

	if (spool != NULL)
		return spool;
	if (errno != EBADMSG || !d->first_block ||
	    (flags & SPOOL_OPEN_REPAIR) != 0)
		fail_msg("errno %d: %s", errno, error);
	assert_true(strlen(error) > 0);
	free(error);
	return open_spool(flags | SPOOL_OPEN_REPAIR, d);
}

enum {
	FUZZ_SCAN = 0x01,
	FUZZ_COMPACT = 0x02,
	FUZZ_BODY = 0x04,
	FUZZ_CHANGE = 0x08,
	FUZZ_REPAIR = 0x10
};

static void read_only(const struct damage *d, struct set *set)
{
	struct spool *spool = open_spool(SPOOL_OPEN_READ_ONLY, d);

	list_spool(spool, set);
	look_at_all(spool, NULL);
	verify_spool(spool);
	spool_close(&spool);
	/* who only looks puts nothing aside */
	assert_int_equal(test_spool_files_in("quarantine").count, 0);
}

static void put_one(struct spool *spool, message_id *id)
{
	static const char wire[] = TEST_SPOOL_WIRE;

	fuzz_make_id(FUZZ_MESSAGES + 7, id);
	if (test_spool_put_as(spool, wire, sizeof(wire) - 1, id) != IO_DONE)
		fail_msg("%s", io_get_error());
}

/* Headers that are written anew, where they can be read. */
static void change_one(struct spool *spool, struct fuzz_message *m)
{
	email_message *message = email_message_new(&m->id);

	if (spool_readheaders(spool, IO_SYNCHRONOUS, message) == IO_DONE) {
		(void)email_message_set_value(message, "a", "later", "yes");
		if (test_spool_write_headers(spool, message) == IO_DONE)
			m->added = 1;
		else if (!m->touched)
			fail_msg("%s", io_get_error());
	} else {
		assert_true(m->touched || m->removed);
	}
	email_message_unref(&message);
}

static void must_be_changed(struct spool *spool, const struct fuzz_message *m)
{
	email_message *message = email_message_new(&m->id);

	if (m->added > 0) {
		assert_int_equal(spool_readheaders(spool, IO_SYNCHRONOUS,
						   message),
				 IO_DONE);
		assert_string_equal(
			email_message_get_value(message, "a", "later"), "yes");
	}
	email_message_unref(&message);
}

static void same_set(const struct set *a, const struct set *b,
		     const struct fuzz_message *removed, const char *what)
{
	unsigned int n;

	for (n = 0; n < FUZZ_MESSAGES; n++) {
		if (removed == &fuzz_messages[n])
			assert_false(b->listed[n]);
		else if (a->listed[n] != b->listed[n])
			fail_msg("%s: message %u is%s there any more", what, n,
				 b->listed[n] ? "" : " not");
	}
}

/* Opened for writing, and again: what the first one found. */
static void write_spool(const struct damage *d, unsigned int how,
			const struct fuzz_message *removed,
			const struct set *before)
{
	struct set first = { .extra = false }, second = { .extra = false };
	static const char wire[] = TEST_SPOOL_WIRE;
	struct fuzz_message *changed =
		&fuzz_messages[(unsigned int)(removed - fuzz_messages + 1) %
			       FUZZ_MESSAGES];
	struct spool *spool;
	uint64_t moved;
	char *error;

	spool = open_spool((how & FUZZ_REPAIR) != 0 ? SPOOL_OPEN_REPAIR : 0, d);
	list_spool(spool, &first);
	same_set(before, &first, NULL, "opened for writing");
	if ((how & FUZZ_SCAN) != 0) {
		(void)test_spool_scan(spool);
		list_spool(spool, &first);
	}
	put_one(spool, &second.extra_id);
	assert_int_equal(spool_remove(spool, &removed->id), IO_DONE);
	if ((how & FUZZ_CHANGE) != 0)
		change_one(spool, changed);
	if ((how & FUZZ_COMPACT) != 0 &&
	    spool_compact(spool, &moved, &error) < 0)
		fail_msg("%s", error);
	look_at_all(spool, removed);
	spool_close(&spool);

	spool = open_spool(SPOOL_OPEN_REPAIR, d);
	list_spool(spool, &second);
	same_set(&first, &second, removed, "opened again");
	assert_true(second.extra);
	must_be_changed(spool, changed);
	look_at_all(spool, removed);
	verify_spool(spool);
	test_spool_must_have(spool, &second.extra_id, wire, sizeof(wire) - 1);
	(void)test_spool_scan(spool);
	look_at_all(spool, removed);
	spool_close(&spool);
}

void fuzz_one(const unsigned char *data, size_t size)
{
	struct fuzz_input in = { data, data + size };
	unsigned int how = fuzz_byte(&in);
	const struct fuzz_message *removed =
		&fuzz_messages[fuzz_byte(&in) % FUZZ_MESSAGES];
	struct set set = { .extra = false };
	struct damage d;

	fuzz_spool_restore();
	if ((how & FUZZ_BODY) != 0)
		damage_body(&in);
	damage_spool(&d, &in);
	read_only(&d, &set);
	write_spool(&d, how, removed, &set);
}

void fuzz_setup(void)
{
	fuzz_spool_setup();
}

void fuzz_seeds(void)
{
	unsigned char seed[10] = { 0 };
	unsigned int i;

	fuzz_seed("", 0);
	for (i = 0; i < 64; i++) {
		seed[0] = (unsigned char)(i * 5);
		seed[1] = (unsigned char)(i * 3);
		seed[2] = (unsigned char)i;
		seed[3] = (unsigned char)(i / 8);
		seed[4] = (unsigned char)(i * 16);
		seed[5] = (unsigned char)(i * 7);
		seed[6] = (unsigned char)(i + 1);
		seed[7] = (unsigned char)(i + 5);
		fuzz_seed(seed, sizeof(seed));
	}
}
