/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* A spool in a file store whose files were changed, cut, moved, linked, replaced, removed or
   added to. Whatever it is, the spool opens and can be written to. A message whose two files
   are as they were written is there as it was: listed, handed out, read, changed; of any
   other the list, verify, the scan and reads say the same, and nobody gets its body for
   whole. A reader changes nothing. A scan puts aside what is damaged, all of its files as
   they were, with the reason; it takes nothing away but bodies that are nobody's, and those
   that a whole one took the place of; and a second repair finds nothing to do. */

#include "config.h"
#include "fuzz-common.h"
#include "fuzz-store.h"

#include <errno.h>
#include <stdlib.h>

#define OPS_MAX 12u

enum {
	FUZZ_KEYS = 0x01,
	FUZZ_OTHER_KEYS = 0x02, /* no message is for them */
	FUZZ_REPAIR = 0x04,
	FUZZ_SCAN_FIRST = 0x08,
	FUZZ_BODY = 0x10 /* the changed one gets another body, too */
};

static struct age_identities *other_identities;

/*
 * What is told of each message
 */

struct told {
	struct store_seen seen[STORE_MESSAGES];
	unsigned int count[STORE_MESSAGES], others;
	bool keys, other_keys, verify;
};

static bool can_read(const struct store_message *m, bool keys)
{
	return keys || !m->secret;
}

/* What list and verify are to say. */
static int problem_of(const struct told *told, const struct store_message *m)
{
	const struct store_seen *seen = &told->seen[m - store_messages];

	if (seen->newer)
		return ENOTSUP;
	if (seen->version == NULL || !seen->body_there)
		return EINVAL;
	if (!told->verify)
		return 0;
	if (!store_is_whole(seen))
		return EINVAL;
	/* who has none at all is not told of it */
	return m->secret && told->other_keys ? ENOKEY : 0;
}

static bool note_entry(const struct spool_entry *entry, void *context)
{
	struct told *told = context;
	struct store_message *m = store_find(&entry->id);
	const struct store_seen *seen;

	if (m == NULL) {
		told->others++;
		return true;
	}
	seen = &told->seen[m - store_messages];
	told->count[m - store_messages]++;
	assert_int_equal(entry->problem == NULL, entry->error == 0);
	if (m->forged)
		return true;
	if (entry->error != problem_of(told, m))
		fail_msg("message %s: errno %d, not %d: %s", m->text,
			 entry->error, problem_of(told, m),
			 entry->problem == NULL ? "" : entry->problem);
	if (seen->version != NULL) {
		assert_int_equal(entry->version, seen->version->number);
		assert_int_equal(entry->body_len, seen->version->wire->used);
	}
	return true;
}

static void list_spool(struct spool *spool, struct told *told, bool verify,
		       unsigned int others)
{
	unsigned int i;
	char *error;
	int ret;

	memset(told->count, 0, sizeof(told->count));
	told->others = 0;
	told->verify = verify;
	ret = verify ? spool_verify(spool, note_entry, told, &error) :
		       spool_list(spool, note_entry, told, &error);
	if (ret < 0)
		fail_msg("%s", error);
	assert_int_equal(told->others, others);
	for (i = 0; i < STORE_MESSAGES; i++) {
		if (told->count[i] != (told->seen[i].there ? 1 : 0))
			fail_msg("message %s: listed %u times",
				 store_messages[i].text, told->count[i]);
	}
}

/* Headers alone. */
static void read_headers(struct spool *spool, const struct told *told,
			 const struct store_message *m)
{
	const struct store_seen *seen = &told->seen[m - store_messages];
	email_message *message = email_message_new(&m->id);
	int answer = spool_readheaders(spool, IO_SYNCHRONOUS, message);

	if (answer != IO_DONE)
		assert_true(!seen->headers || !can_read(m, told->keys));
	else if (!seen->headers)
		fail_msg("message %s: its headers are read", m->text);
	if (answer == IO_DONE) {
		assert_int_equal(email_message_get_version(message),
				 seen->version->number);
		assert_string_equal(email_message_get_sender(message),
				    "a@example.org");
		assert_string_equal(email_message_get_recipient(message, 0),
				    "b@example.org");
	}
	email_message_unref(&message);
}

static void look_at_message(struct spool *spool, const struct told *told,
			    const struct store_message *m)
{
	const struct store_seen *seen = &told->seen[m - store_messages];
	buffer_t *out = buffer_create_dynamic(default_pool, 1024);
	int error = test_spool_read(spool, &m->id, 0, out);

	fuzz_trace("message %s: errno %d, %s", m->text, error,
		   m->forged                    ? "forged" :
			   seen->newer          ? "newer" :
			   store_is_whole(seen) ? "whole" :
						  "damaged or gone");
	if ((error == ENOENT) == seen->there)
		fail_msg("message %s: errno %d", m->text, error);
	if (seen->there && !m->forged) {
		if (seen->newer)
			assert_int_equal(error, ENOTSUP);
		else if (!store_is_whole(seen))
			assert_true(error == EINVAL || error == EPIPE ||
				    (error == ENOKEY && m->secret));
		else if (!can_read(m, told->keys))
			assert_int_equal(error, ENOKEY);
		else if (error != 0)
			fail_msg("message %s: errno %d: %s", m->text, error,
				 io_get_error());
		else
			fuzz_same(out, seen->version->wire->data,
				  seen->version->wire->used, m->text);
		if (error != 0)
			read_headers(spool, told, m);
	}
	buffer_free(&out);
}

static void look_at_tree(const struct store_tree *tree,
			 struct store_seen seen_r[STORE_MESSAGES])
{
	unsigned int i;

	for (i = 0; i < STORE_MESSAGES; i++)
		store_look(tree, &store_messages[i], &seen_r[i]);
}

static void look_at_files(struct told *told)
{
	struct store_tree tree;

	store_tree_read(&tree);
	look_at_tree(&tree, told->seen);
	store_tree_free(&tree);
}

/* others: messages that are none of ours. */
static void look_at_all(struct spool *spool, struct told *told,
			unsigned int others)
{
	unsigned int i;

	look_at_files(told);
	list_spool(spool, told, false, others);
	list_spool(spool, told, true, others);
	for (i = 0; i < STORE_MESSAGES; i++)
		look_at_message(spool, told, &store_messages[i]);
}

/*
 * Scans
 */

/* others: messages that are none of ours, and were there when the spool was opened. */
static void scan_spool(struct spool *spool, struct store_scan *scan,
		       bool changes_nothing, unsigned int others)
{
	struct spool_strays strays;
	struct store_tree before, after;
	struct spool_undone undone;

	store_tree_read(&before);
	look_at_tree(&before, scan->seen);
	spool_start_scan(spool, store_note_found, NULL, scan);
	spool_wait_scan(spool);
	store_tree_read(&after);
	test_spool_count_strays(spool, &strays);
	store_check_found(scan, others);
	if (changes_nothing)
		store_same_tree(&before, &after);
	else if (store_check_scan(scan, &before, &after) > 0)
		assert_true(strays.quarantined > 0);
	spool_get_undone(spool, &undone);
	assert_int_equal(undone.unkept, 0);
	store_tree_free(&before);
	store_tree_free(&after);
}

/*
 * Changes
 */

/* What is at hand while an input is looked at. */
struct run {
	unsigned int how;
	struct store_message *removed, *changed;
	message_id extra; /* that was put afterwards */
	bool was_removed;
};

static struct spool *open_spool(const struct run *run, unsigned int flags)
{
	struct stream_context keys = { .identities = NULL };
	struct spool *spool;
	char *error;

	if ((run->how & FUZZ_KEYS) != 0)
		keys.identities = test_keys.identities;
	else if ((run->how & FUZZ_OTHER_KEYS) != 0)
		keys.identities = other_identities;
	spool = spool_open(store_dir, flags, &keys, &error);

	if (spool == NULL)
		fail_msg("%s", error);
	return spool;
}

static void put_one(struct spool *spool, struct run *run)
{
	static const char wire[] = TEST_SPOOL_WIRE;

	run->extra = store_messages[0].id;
	run->extra.bytes[8] = 0xee;
	if (test_spool_put_as(spool, wire, sizeof(wire) - 1, &run->extra) !=
	    IO_DONE)
		fail_msg("%s", io_get_error());
}

static void remove_one(struct spool *spool, struct run *run,
		       const struct told *told)
{
	if (told->seen[run->removed - store_messages].odd)
		return;
	if (spool_remove(spool, &run->removed->id) != IO_DONE)
		fail_msg("%s", io_get_error());
	run->was_removed = true;
}

/* Headers that are written anew, and a body with them. */
static int write_anew(struct spool *spool, email_message *message,
		      const buffer_t *wire)
{
	(void)email_message_set_value(message, "a", "later", "yes");
	if (wire == NULL)
		return test_spool_write_headers(spool, message);
	test_spool_set_body(message, wire->data, wire->used);
	if (spool_writebody(spool, IO_SYNCHRONOUS, message, 0) != IO_DONE)
		return IO_FAIL;
	return test_spool_write_headers(spool, message);
}

/* Where the headers can be read they can be changed, if there is a body, or comes one. */
static void change_one(struct spool *spool, const struct run *run,
		       const struct told *told)
{
	struct store_message *m = run->changed;
	const struct store_seen *seen = &told->seen[m - store_messages];
	email_message *message = email_message_new(&m->id);
	static const char other[] = "Subject: other\r\n\r\n.\r\n";
	buffer_t *wire = NULL;

	if ((run->how & FUZZ_BODY) != 0) {
		wire = buffer_create_dynamic(default_pool, 64);
		buffer_append(wire, other, sizeof(other) - 1);
	}
	if (!m->forged && !seen->odd &&
	    spool_readheaders(spool, IO_SYNCHRONOUS, message) == IO_DONE) {
		assert_true(seen->headers);
		if (write_anew(spool, message, wire) == IO_DONE)
			store_add_version(m, wire, seen->version->number + 1);
		else if (wire != NULL || seen->body_there)
			fail_msg("message %s: %s", m->text, io_get_error());
	}
	email_message_unref(&message);
	if (wire != NULL)
		buffer_free(&wire);
}

/*
 * One after the other
 */

/* Who only looks changes nothing. */
static void read_only(const struct run *run, struct told *told)
{
	struct store_scan scan = { .repairs = (run->how & FUZZ_REPAIR) != 0 };
	struct spool *spool = open_spool(
		run,
		SPOOL_OPEN_READ_ONLY | (scan.repairs ? SPOOL_OPEN_REPAIR : 0));
	struct store_tree before, after;

	store_tree_read(&before);
	look_at_all(spool, told, 0);
	store_tree_read(&after);
	store_same_tree(&before, &after);
	store_tree_free(&before);
	store_tree_free(&after);
	scan_spool(spool, &scan, true, 0);
	spool_close(&spool);
}

static void write_spool(struct run *run, struct told *told)
{
	struct store_scan scan = { .repairs = (run->how & FUZZ_REPAIR) != 0 };
	struct spool *spool =
		open_spool(run, scan.repairs ? SPOOL_OPEN_REPAIR : 0);

	if ((run->how & FUZZ_SCAN_FIRST) != 0)
		scan_spool(spool, &scan, false, 0);
	put_one(spool, run);
	look_at_files(told);
	remove_one(spool, run, told);
	change_one(spool, run, told);
	if ((run->how & FUZZ_SCAN_FIRST) == 0)
		scan_spool(spool, &scan, false, 0);
	look_at_all(spool, told, 1);
	spool_close(&spool);
}

static void repair(struct run *run, struct told *told, bool again)
{
	static const char wire[] = TEST_SPOOL_WIRE;
	struct store_scan scan = { .repairs = true };
	struct spool *spool = open_spool(run, SPOOL_OPEN_REPAIR);

	scan_spool(spool, &scan, again, 1);
	if (!again)
		look_at_all(spool, told, 1);
	test_spool_must_have(spool, &run->extra, wire, sizeof(wire) - 1);
	if (run->was_removed)
		assert_false(told->seen[run->removed - store_messages].there);
	spool_close(&spool);
}

void fuzz_one(const unsigned char *data, size_t size)
{
	struct fuzz_input in = { data, data + size };
	struct run run = { .how = fuzz_byte(&in) };
	struct told told = { .keys = (run.how & FUZZ_KEYS) != 0,
			     .other_keys = (run.how &
					    (FUZZ_KEYS | FUZZ_OTHER_KEYS)) ==
				     FUZZ_OTHER_KEYS };
	unsigned int i = fuzz_byte(&in);

	run.removed = &store_messages[i % STORE_MESSAGES];
	run.changed = &store_messages[(i + 1) % STORE_MESSAGES];
	store_restore();
	for (i = 0; i < OPS_MAX && fuzz_left(&in) > 0; i++)
		store_damage(&in);
	read_only(&run, &told);
	write_spool(&run, &told);
	repair(&run, &told, false);
	/* and nothing is left to do */
	repair(&run, &told, true);
}

void fuzz_setup(void)
{
	char *error;

	fuzz_keys();
	other_identities = age_identities_new();
	if (age_identities_add_file(other_identities,
				    test_data_path("spool-h1/key"), NULL,
				    &error) < 0)
		fail_msg("%s", error);
	store_setup();
}

void fuzz_seeds(void)
{
	unsigned char seed[24];
	uint32_t state = 11;
	unsigned int i, j;

	fuzz_seed("", 0);
	for (i = 0; i < 360; i++) {
		for (j = 0; j < sizeof(seed); j++)
			seed[j] = (unsigned char)(test_random(&state) >> 11);
		/* most of them keys, and a file that is there */
		if (i % 4 != 0)
			seed[0] |= FUZZ_KEYS;
		seed[2] = (unsigned char)(i % 12);
		seed[3] = (unsigned char)(i / 12 % STORE_MESSAGES);
		seed[4] = (unsigned char)(i % 3 == 0 ? i : 12 + i % 2);
		/* one change, or several */
		fuzz_seed(seed, i % 2 == 0 ? 8 : sizeof(seed));
	}
}
