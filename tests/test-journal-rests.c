/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What a start keeps of a message of which a record is damaged: also the others, which nobody
   needs any more. */

#include "config.h"
#include "macros.h"
#include "mem.h"
#include "test-faults.h"
#include "test-journal-common.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 4

/* A step is of message 1: B a body and its headers, H headers alone, S states of the version
   before, each of the next version; C and c are a copy of B and H, as when they are moved; U
   removes it; N begins another segment. */
static const struct row {
	const char *name, *steps;
	unsigned int step, record; /* that are damaged: from 0 */
	bool in_header;
	const char *kept; /* types and versions */
	bool is_there;
	unsigned int also; /* this step, too; 0: none */
} rows[] = {
	{ "headers", "B", 0, 1, false, "B1 H1 ", false, 0 },
	{ "the headers' header", "B", 0, 1, true, "B1 ", false, 0 },
	{ "the body", "B", 0, 0, false, "B1 H1 ", false, 0 },
	{ "the body's header", "B", 0, 0, true, "H1 ", false, 0 },
	{ "later headers", "BH", 1, 0, false, "B1 H1 H2 ", false, 0 },
	{ "headers behind states", "BSH", 2, 0, false, "B1 H1 H3 S2 ", false,
	  0 },
	{ "the body of others", "BHS", 0, 0, false, "B1 H1 H2 S3 ", false, 0 },
	{ "headers of a later body", "BB", 1, 1, false, "B1 B2 H1 H2 ", false,
	  0 },
	{ "headers of another segment", "BNH", 2, 0, false, "B1 H1 H2 ", false,
	  0 },
	{ "before another segment", "BNHN", 0, 0, false, "B1 H1 H2 ", false,
	  0 },
	{ "one that is removed", "BHU", 1, 0, false, "H2 ", false, 0 },
	{ "the removal", "BU", 1, 0, false, "U2 ", false, 0 },
	{ "one that came again", "BB", 0, 1, false, "H1 ", true, 0 },
	{ "its states", "BS", 1, 0, false, "S2 ", true, 0 },
	{ "headers before others", "BH", 0, 1, false, "H1 ", true, 0 },
	{ "later ones before others", "BHH", 1, 0, false, "H2 ", true, 0 },
	{ "two of them", "BHHH", 1, 0, false, "H2 H3 ", true, 2 },
	{ "their body", "BBH", 1, 0, false, "B1 B2 H1 H2 H3 ", false, 0 },
	{ "states behind those", "BHHS", 1, 0, false, "H2 ", true, 0 },
	{ "in another segment", "BNHN", 0, 1, false, "H1 ", true, 0 },
	{ "removed behind that", "BHU", 0, 1, false, "H1 ", false, 0 },
	{ "a copy's headers", "BC", 1, 1, false, "B1 H1 ", true, 0 },
	{ "a copy's body", "BC", 1, 0, false, "B1 H1 ", true, 0 },
	{ "a copy of headers alone", "BHc", 2, 0, false, "H2 ", true, 0 },
	{ "a copy of older headers", "BCH", 1, 1, false, "H1 ", true, 0 },
	{ "headers behind a copy", "BCH", 2, 0, false, "B1 H1 H2 ", false, 0 },
};

struct made {
	struct journal_place places[STEPS_MAX][2];
	unsigned int others;
};

static void drop_first(struct journal *journal, uint64_t version,
		       struct journal_place *place_r)
{
	unsigned char target[JOURNAL_TARGET_SIZE];
	struct journal_request request;

	test_journal_claim_drop(journal, 1, &request, target);
	request.records[0].version = version;
	assert_int_equal(journal_commit(journal, &request), 0);
	journal_release(journal, &request.records[0].id);
	*place_r = request.records[0].place;
}

static void make_step(struct journal *journal, struct made *made, char step,
		      uint64_t version, struct journal_place places_r[2])
{
	struct test_journal_put put;
	struct journal_request *request = &put.request;
	unsigned int i;

	if (step == 'N') {
		test_journal_fill(journal, &made->others);
		return;
	}
	if (step == 'U') {
		drop_first(journal, version, &places_r[0]);
		return;
	}
	test_journal_make_put(&put, 1, version);
	if (step != 'B' && step != 'C') {
		request->records[0] = request->records[1];
		request->records[0].flags = 0;
		request->count = 1;
	}
	if (step == 'S') {
		request->records[0].type = JOURNAL_STATES;
		request->records[0].plain_size = version - 1;
	}
	test_journal_commit_claimed(journal, request);
	for (i = 0; i < request->count; i++)
		places_r[i] = request->records[i].place;
}

static void damage(const struct journal_place *place, bool in_header)
{
	test_journal_flip_in(place->segment,
			     (uint64_t)place->offset * JOURNAL_ALIGN +
				     (in_header ? 10 :
						  JOURNAL_HEADER_SIZE + 8));
}

/* A closed journal with the message, of which that is damaged. */
static void make(const struct row *row)
{
	struct made made = { .others = 100 };
	struct journal *journal = test_journal_new();
	const struct journal_place *damaged;
	uint64_t version = 0;
	unsigned int i;

	for (i = 0; row->steps[i] != '\0'; i++) {
		if (strchr("BHSU", row->steps[i]) != NULL)
			version++;
		make_step(journal, &made, row->steps[i], version,
			  made.places[i]);
	}
	/* so that it is no torn tail */
	for (i = 0; i < 2; i++)
		assert_int_equal(test_journal_store(journal, made.others++), 0);
	journal_close(&journal);
	damaged = &made.places[row->step][row->record];
	damage(damaged, row->in_header);
	if (row->also != 0)
		damage(&made.places[row->also][0], false);
	/* a footer would not tell */
	if (damaged->segment == 1)
		test_journal_flip_in(1, TEST_JOURNAL_SEGMENT - 10);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* The types and versions of the message's records that are in quarantine, in their order. */
static void list_kept(char kept_r[200])
{
	static const char types[] = "?BHUVPS";
	char found[10][8], path[1200], text[MESSAGE_ID_TEXT_SIZE];
	unsigned int i, count = 0;
	struct dirent *entry;
	buffer_t *file;
	message_id id;
	DIR *dir;

	test_journal_make_id(1, &id);
	message_id_to_text(&id, text);
	(void)snprintf(path, sizeof(path), "%s/quarantine", test_journal.dir);
	dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		if (strncmp(entry->d_name, text, strlen(text)) != 0 ||
		    strstr(entry->d_name, ".why") != NULL)
			continue;
		(void)snprintf(path, sizeof(path), "%s/quarantine/%s",
			       test_journal.dir, entry->d_name);
		file = test_read_file(path);
		(void)snprintf(found[count++], sizeof(found[0]), "%c%u ",
			       types[((const unsigned char *)file->data)[4]],
			       ((const unsigned char *)file->data)[24]);
		buffer_free(&file);
	}
	(void)closedir(dir);
	qsort(found, count, sizeof(found[0]), by_text);
	kept_r[0] = '\0';
	for (i = 0; i < count; i++)
		(void)strcat(kept_r, found[i]);
}

static void must_have_kept(const struct row *row, struct journal *journal)
{
	char kept[200];

	list_kept(kept);
	if (strcmp(kept, row->kept) != 0 ||
	    test_journal_has(journal, 1) != row->is_there)
		fail_msg("%s: %s", row->name, kept);
	/* each with its reason */
	assert_int_equal(test_journal_files_in("quarantine"),
			 2 * test_journal_must_keep_bytes(JOURNAL_ALIGN));
}

static void test_what_is_left_is_kept_once(void **state ATTR_UNUSED)
{
	struct journal *journal;
	unsigned int i, n, files = 0;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		make(&rows[i]);
		/* a reader keeps nothing */
		journal = test_journal_open(true);
		assert_true(test_journal_has(journal, 1) == rows[i].is_there);
		journal_close(&journal);
		assert_int_equal(test_journal_files_in("quarantine"), 0);
		for (n = 0; n < 3; n++) {
			journal = test_journal_open(false);
			must_have_kept(&rows[i], journal);
			if (n == 0)
				files = test_journal_files_in("quarantine");
			assert_int_equal(test_journal_files_in("quarantine"),
					 files);
			assert_int_equal(test_journal_store(journal, 900 + n),
					 0);
			journal_close(&journal);
		}
	}
}

/* The message is kept also where its records are soon written over. */
static void test_what_is_left_outlives_its_segment(void **state ATTR_UNUSED)
{
	struct journal *journal;
	char kept[200];
	unsigned int i, n;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		make(&rows[i]);
		journal = test_journal_open(false);
		n = 2000;
		assert_int_equal(test_journal_store(journal, n++), 0);
		test_journal_pass(journal, &n, 300);
		test_journal_compact(journal);
		journal_close(&journal);
		journal = test_journal_open(false);
		list_kept(kept);
		if (strcmp(kept, rows[i].kept) != 0 ||
		    test_journal_has(journal, 1) != rows[i].is_there)
			fail_msg("%s: %s", rows[i].name, kept);
		if (rows[i].is_there)
			assert_int_equal(test_journal_drop(journal, 1), 0);
		journal_close(&journal);
	}
}

/* Of what was never acknowledged nothing is, then and later. */
static void test_a_torn_tail_keeps_nothing(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	unsigned int n;

	assert_int_equal(test_journal_store(journal, 1), 0);
	journal_close(&journal);
	/* its headers */
	test_journal_flip(JOURNAL_BLOCK_SIZE + 3 * JOURNAL_ALIGN + 9);
	for (n = 2; n < 5; n++) {
		journal = test_journal_open(false);
		assert_false(test_journal_has(journal, 1));
		assert_int_equal(test_journal_files_in("quarantine"), 0);
		assert_int_equal(test_journal_store(journal, n), 0);
		journal_close(&journal);
	}
}

/* NULL: opening failed. */
static struct journal *open_or_not(void)
{
	const struct journal_settings settings = {
		.segment_size = TEST_JOURNAL_SEGMENT
	};
	struct journal *journal;
	char *error;

	journal = journal_open(test_journal.dir_fd, test_journal.dir, &settings,
			       &error);
	if (journal == NULL)
		i_free(error);
	return journal;
}

/* Whatever of that fails, or ends the process: the segment stays until the next start has kept
   what was not, and nothing is kept twice. */
static void test_what_could_not_be_kept(void **state ATTR_UNUSED)
{
	static const enum test_op ops[] = { TEST_OP_RENAME, TEST_OP_FDATASYNC,
					    TEST_OP_FSYNC_DIR };
	const struct row *row = &rows[6];
	struct journal *journal;
	unsigned int i, n, hit;
	char kept[200];

	for (i = 0; i < N_ELEMENTS(ops); i++) {
		TEST_EACH_CALL(n, hit) {
			make(row);
			test_faults_begin();
			test_faults.fail_at[ops[i]] = n;
			test_faults.fail_errno[ops[i]] = ENOSPC;
			test_faults.fail_after = true;
			journal = open_or_not();
			hit = test_faults.calls[ops[i]];
			test_faults_end();
			list_kept(kept);
			if (journal != NULL && strcmp(kept, row->kept) != 0)
				assert_true(journal->segments[1]->failed);
			journal_close(&journal);
			journal = test_journal_open(false);
			must_have_kept(row, journal);
			assert_int_equal(test_journal_files_in("quarantine"),
					 2 * strlen(row->kept) / 3);
			journal_close(&journal);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_left_is_kept_once),
		cmocka_unit_test(test_what_is_left_outlives_its_segment),
		cmocka_unit_test(test_a_torn_tail_keeps_nothing),
		cmocka_unit_test(test_what_could_not_be_kept),
	};

	return cmocka_run_group_tests_name("journal-rests", tests, NULL, NULL);
}
