/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What is damaged is put aside, and the power goes meanwhile: its bytes are where they were,
   or in quarantine, at any time and for ever; all else is what was acknowledged. */

#include "config.h"
#include "crash-spool.h"
#include "test-common.h"

/* Four blocks of a segment: three of them, and three tombstones, fill it. */
#define LARGE 14000
/* Goes to a file of its own. */
#define HUGE 40000

/* Behind the first record's header, in its payload. */
#define FIRST_PAYLOAD (4096 + 64 + 20)

static struct spool *reopen(unsigned int flags)
{
	struct spool *spool;
	char *error;

	spool = spool_open(test_path("work"), flags, NULL, &error);
	if (spool == NULL)
		fail_msg("%s", error);
	return spool;
}

/* What was done so far is on the disk; now a byte of it is changed. */
static void damage(struct spool **spool, const char *path, uint64_t offset)
{
	crash_spool_end(spool);
	crash_forget();
	test_flip(path, offset);
}

/* The first ones are damaged, others are acknowledged. */
static struct spool *begin_again(unsigned int flags, unsigned int damaged,
				 unsigned int count)
{
	unsigned int i;

	crash_record_begin(test_path("work"));
	for (i = 0; i < count; i++) {
		if (i < damaged)
			crash_note_damaged(i);
		else
			crash_note_stored(i);
	}
	crash_record_base();
	return reopen(flags);
}

static void found(const message_id *id ATTR_UNUSED, void *context)
{
	(*(unsigned int *)context)++;
}

static unsigned int scan(struct spool *spool)
{
	unsigned int count = 0;

	spool_start_scan(spool, found, NULL, &count);
	spool_wait_scan(spool);
	return count;
}

static void explore(unsigned int flags, unsigned int max)
{
	struct crash_keeping keeping = { .flags = flags, .has_damage = true };

	(void)crash_must_hold(&keeping, max);
	crash_forget();
}

static const char *segment_path(const char *name)
{
	static char path[600];

	(void)snprintf(path, sizeof(path), "%s/journal/%s", test_path("work"),
		       name);
	return path;
}

/*
 * The file store
 */

static const char *headers_path(unsigned int i)
{
	static char path[600];
	char text[MESSAGE_ID_TEXT_SIZE];

	message_id_to_text(crash_id(i), text);
	(void)snprintf(path, sizeof(path), "%s/messages/%s/%s.h",
		       test_path("work"), text + MESSAGE_ID_TEXT_SIZE - 3,
		       text);
	return path;
}

/* With one body, or with two, of which nobody can tell which is its own. */
static void test_headers(void **state ATTR_UNUSED)
{
	struct spool_settings settings = { .body = "" };
	struct spool *spool;
	unsigned int n;

	for (n = 0; n < 2; n++) {
		spool = crash_spool_begin(&settings, CRASH_SYNC_NONE);
		crash_must_put(spool, 0, 600);
		if (n > 0)
			crash_begin_rewrite(spool, 0);
		crash_must_put(spool, 1, 600);
		damage(&spool, headers_path(0), 30);
		spool = begin_again(0, 1, 2);
		assert_int_equal(scan(spool), 1);
		crash_must_put(spool, 2, 600);
		crash_spool_end(&spool);
		explore(0, 8);
	}
}

/*
 * The journal store
 */

static void put_large(struct spool *spool, unsigned int first,
		      unsigned int count)
{
	for (; count > 0; first++, count--)
		crash_must_put(spool, first, LARGE);
}

/* Nobody knows what is in the segment. */
static void test_first_block(void **state ATTR_UNUSED)
{
	struct spool *spool = crash_journal_begin("", CRASH_SYNC_NONE);

	put_large(spool, 0, 6);
	damage(&spool, segment_path("00000001.seg"), 20);
	spool = begin_again(SPOOL_OPEN_REPAIR, 3, 6);
	(void)scan(spool);
	crash_must_put(spool, 10, 100);
	crash_spool_end(&spool);
	explore(SPOOL_OPEN_REPAIR, 6);
}

/* Messages come and go, until its segment is written anew. */
static void write_all_anew(struct spool *spool, unsigned int i)
{
	unsigned int n;

	for (n = 0; n < 2; n++)
		crash_must_remove(spool, 1 + n);
	for (n = 0; n < 10; n++, i++) {
		crash_must_put(spool, i, LARGE);
		crash_must_remove(spool, i);
	}
	assert_true(crash_sync_count(CRASH_SYNC_SEGMENT_HEADER) > 1);
}

/* In the last segment, which a start reads whole. */
static void test_record(void **state ATTR_UNUSED)
{
	struct spool *spool = crash_journal_begin("", CRASH_SYNC_NONE);

	put_large(spool, 0, 3);
	damage(&spool, segment_path("00000001.seg"), FIRST_PAYLOAD);
	spool = begin_again(0, 1, 3);
	assert_int_equal(scan(spool), 2);
	write_all_anew(spool, 20);
	crash_spool_end(&spool);
	explore(0, 3);
}

/* In one that has a footer, which is gone by: a repair reads the record. */
static void test_record_behind_a_footer(void **state ATTR_UNUSED)
{
	struct spool *spool = crash_journal_begin("", CRASH_SYNC_NONE);

	put_large(spool, 0, 3);
	put_large(spool, 3, 2);
	damage(&spool, segment_path("00000001.seg"), FIRST_PAYLOAD);
	spool = begin_again(SPOOL_OPEN_REPAIR, 1, 5);
	assert_int_equal(scan(spool), 4);
	write_all_anew(spool, 20);
	crash_spool_end(&spool);
	explore(SPOOL_OPEN_REPAIR, 3);
}

/* Its headers are damaged, behind the record of the body: nothing speaks of the file. */
static void test_body_in_a_file(void **state ATTR_UNUSED)
{
	struct spool *spool = crash_journal_begin("", CRASH_SYNC_NONE);

	crash_must_put(spool, 0, HUGE);
	crash_must_put(spool, 1, 100);
	crash_must_put(spool, 2, HUGE);
	damage(&spool, segment_path("00000001.seg"), 4096 + 128 + 64 + 4);
	spool = begin_again(0, 1, 3);
	assert_int_equal(scan(spool), 2);
	write_all_anew(spool, 20);
	crash_spool_end(&spool);
	explore(0, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_first_block),
		cmocka_unit_test(test_record),
		cmocka_unit_test(test_record_behind_a_footer),
		cmocka_unit_test(test_body_in_a_file),
	};

	crash_use_memory();
	return cmocka_run_group_tests_name("crash-damage", tests, NULL, NULL);
}
