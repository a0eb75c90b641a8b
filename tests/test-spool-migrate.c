/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Messages that move from one spool to another, of either store. */

#include "config.h"
#include "buffer.h"
#include "file-ops.h"
#include "istream.h"
#include "mem.h"
#include "message-record.h"
#include "spool-modules.h"
#include "test-faults.h"
#include "test-spool-common.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char wire[] = TEST_SPOOL_WIRE;

/* In the journal a file of its own. */
#define LARGE 70000
/* So many are on their way at once. */
#define MANY 16

struct direction {
	const char *from, *from_stack, *to, *to_stack;
};
static const struct direction directions[] = {
	{ "file", "", "journal", "gzip" },
	{ "journal", "gzip", "file", "" },
	{ "file", "lz4", "file", "gzip" },
	{ "journal", "", "journal", "" },
};

struct pair {
	struct spool *from, *to;
	char from_dir[512], to_dir[512];
};

static void new_pair(const struct direction *direction, struct pair *pair)
{
	pair->from = test_spool_new_of(direction->from, direction->from_stack);
	(void)snprintf(pair->from_dir, 512, "%s", test_spool_dir());
	pair->to = test_spool_new_of(direction->to, direction->to_stack);
	(void)snprintf(pair->to_dir, 512, "%s", test_spool_dir());
}

static struct spool *open_again(struct spool **spool, const char *dir)
{
	char *error;

	spool_close(spool);
	*spool = spool_open(dir, 0, NULL, &error);
	if (*spool == NULL)
		fail_msg("%s", error);
	return *spool;
}

static void close_pair(struct pair *pair)
{
	spool_close(&pair->from);
	spool_close(&pair->to);
}

/* What the callback was told. */
struct told {
	unsigned int count, were_there, problems;
	int error; /* of the last problem */
	uint64_t octets;
	size_t total;
};

static bool note(const struct spool_migrated *what, void *context)
{
	struct told *told = context;

	told->count++;
	told->octets += what->body_len;
	told->total = what->total;
	if (what->was_there)
		told->were_there++;
	if (what->problem != NULL) {
		told->problems++;
		told->error = what->error;
	}
	return true;
}

static struct told migrate(const struct pair *pair, unsigned int flags)
{
	struct told told = { 0 };
	char *error;

	if (spool_migrate(pair->from, pair->to, flags, note, &told, &error) < 0)
		fail_msg("%s", error);
	return told;
}

static void put_large(struct spool *spool, message_id *id)
{
	unsigned char *text = test_data(TEST_DATA_RANDOM, LARGE);

	memcpy(text + LARGE - 5, "\r\n.\r\n", 5);
	assert_int_equal(test_spool_put(spool, text, LARGE, id), IO_DONE);
	test_spool_must_have(spool, id, text, LARGE);
	free(text);
}

/* With something in every field, and of version 3. */
static void put_full(struct spool *spool, message_id *id)
{
	email_message *message;

	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, id),
			 IO_DONE);
	assert_int_equal(spool_get(spool, id, &message), IO_DONE);
	assert_int_equal(email_message_set_value(message, "smtp", "ret", "x\n"),
			 0);
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	assert_int_equal(email_message_set_recipient_state(
				 message, 0, EMAIL_RECIPIENT_FAILED, "why"),
			 0);
	assert_int_equal(email_message_add_unknown(message, "x-new 1"), 0);
	email_message_set_flags(
		message, EMAIL_MESSAGE_HELD | EMAIL_MESSAGE_LINE_ENDS_LF);
	email_message_set_arrival(message, 12345);
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	email_message_unref(&message);
}

static buffer_t *record_in(struct spool *spool, const message_id *id)
{
	buffer_t *record = buffer_create_dynamic(default_pool, 256);
	email_message *message = email_message_new(id);

	assert_int_equal(spool_readheaders(spool, IO_SYNCHRONOUS, message),
			 IO_DONE);
	assert_int_equal(message_record_write(message, record), 0);
	email_message_unref(&message);
	return record;
}

static void test_all_of_a_message_moves(void **state ATTR_UNUSED)
{
	buffer_t *before, *after;
	email_message *message;
	message_id ids[3];
	struct told told;
	struct pair pair;
	size_t i;

	for (i = 0; i < N_ELEMENTS(directions); i++) {
		new_pair(&directions[i], &pair);
		put_full(pair.from, &ids[0]);
		put_large(pair.from, &ids[1]);
		assert_int_equal(test_spool_put(pair.from, ".\r\n", 3, &ids[2]),
				 IO_DONE);
		before = record_in(pair.from, &ids[0]);
		told = migrate(&pair, 0);
		assert_int_equal(told.count, 3);
		assert_int_equal(told.were_there + told.problems, 0);
		assert_int_equal(told.total, 3);
		assert_int_equal(told.octets, sizeof(wire) - 1 + LARGE + 3);
		assert_int_equal(
			test_spool_scan(open_again(&pair.from, pair.from_dir)),
			0);
		(void)open_again(&pair.to, pair.to_dir);
		assert_int_equal(test_spool_scan(pair.to), 3);
		assert_int_equal(test_spool_damaged(pair.to, NULL), 0);
		after = record_in(pair.to, &ids[0]);
		assert_int_equal(before->used, after->used);
		assert_memory_equal(before->data, after->data, after->used);
		buffer_free(&before);
		buffer_free(&after);
		test_spool_must_have(pair.to, &ids[0], wire, sizeof(wire) - 1);
		test_spool_must_have(pair.to, &ids[2], ".\r\n", 3);
		/* and its versions go on */
		assert_int_equal(spool_get(pair.to, &ids[0], &message),
				 IO_DONE);
		assert_int_equal(email_message_get_version(message), 3);
		assert_int_equal(spool_writeheaders(pair.to, IO_SYNCHRONOUS,
						    message, 0),
				 IO_DONE);
		assert_int_equal(email_message_get_version(message), 4);
		email_message_unref(&message);
		close_pair(&pair);
	}
}

static void must_have_whole(struct spool *spool, unsigned int count)
{
	unsigned int total;

	assert_int_equal(test_spool_damaged(spool, &total), 0);
	assert_int_equal(total, count);
}

static void test_keep_copies(void **state ATTR_UNUSED)
{
	struct told told;
	message_id ids[2];
	struct pair pair;
	size_t i;

	for (i = 0; i < N_ELEMENTS(directions); i++) {
		new_pair(&directions[i], &pair);
		put_full(pair.from, &ids[0]);
		put_large(pair.from, &ids[1]);
		told = migrate(&pair, SPOOL_MIGRATE_KEEP);
		assert_int_equal(told.count, 2);
		assert_int_equal(told.were_there, 0);
		must_have_whole(pair.from, 2);
		must_have_whole(pair.to, 2);
		/* once more changes nothing, and then it moves */
		told = migrate(&pair, SPOOL_MIGRATE_KEEP);
		assert_int_equal(told.were_there, 2);
		told = migrate(&pair, 0);
		assert_int_equal(told.were_there, 2);
		assert_int_equal(told.problems, 0);
		must_have_whole(pair.from, 0);
		must_have_whole(pair.to, 2);
		test_spool_must_have(pair.to, &ids[0], wire, sizeof(wire) - 1);
		close_pair(&pair);
	}
}

/* What a crash between the copy and the removal leaves. */
static void test_what_is_in_both_goes_on(void **state ATTR_UNUSED)
{
	struct told told = { 0 };
	message_id ids[2];
	struct pair pair;
	char *error;
	unsigned int there;
	size_t i;
	int ret;

	for (i = 0; i < N_ELEMENTS(directions); i++) {
		new_pair(&directions[i], &pair);
		put_full(pair.from, &ids[0]);
		put_large(pair.from, &ids[1]);
		test_faults_begin();
		if (strcmp(directions[i].from, "file") == 0) {
			test_faults.fail_at[TEST_OP_UNLINK] = 1;
			test_faults.fail_errno[TEST_OP_UNLINK] = EIO;
			test_faults.fail_after = true;
		}
		ret = spool_migrate(pair.from, pair.to, 0, note, &told, &error);
		test_faults_end();
		if (strcmp(directions[i].from, "file") == 0) {
			assert_int_equal(ret, -1);
			free(error);
			(void)open_again(&pair.to, pair.to_dir);
			(void)open_again(&pair.from, pair.from_dir);
			assert_int_equal(test_spool_scan(pair.from), 2);
			/* the other one may have been on its way */
			there = test_spool_scan(pair.to);
			assert_in_range(there, 1, 2);
			told = migrate(&pair, 0);
			assert_int_equal(told.count, 2);
			assert_int_equal(told.were_there, there);
		}
		assert_int_equal(told.problems, 0);
		must_have_whole(pair.from, 0);
		must_have_whole(pair.to, 2);
		close_pair(&pair);
	}
}

/* What a crash between body and headers leaves there. */
static void test_a_body_without_headers_is_no_message(void **state ATTR_UNUSED)
{
	static const char half[] = "half\r\n.\r\n";
	struct istream *input;
	email_message *message;
	struct told told;
	struct pair pair;
	message_id id;

	new_pair(&directions[2], &pair);
	put_full(pair.from, &id);
	message = email_message_new(&id);
	input = i_stream_create_from_data(half, sizeof(half) - 1);
	email_message_set_body(message, input, 0);
	i_stream_unref(&input);
	assert_int_equal(spool_writebody(pair.to, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	email_message_unref(&message);
	(void)open_again(&pair.to, pair.to_dir);
	told = migrate(&pair, 0);
	assert_int_equal(told.problems + told.were_there, 0);
	test_spool_must_have(pair.to, &id, wire, sizeof(wire) - 1);
	assert_int_equal(test_spool_scan(pair.from), 0);
	close_pair(&pair);
}

/* Its headers, with this line behind the others; NULL: as they are. */
static void rewrite(struct spool *spool, const message_id *id, const char *line)
{
	email_message *message;

	assert_int_equal(spool_get(spool, id, &message), IO_DONE);
	if (line != NULL)
		assert_int_equal(email_message_add_unknown(message, line), 0);
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	email_message_unref(&message);
}

static void test_what_differs_is_left(void **state ATTR_UNUSED)
{
	static const char other[] = "Subject: hallo\r\n\r\n..dots\r\n.\r\n";
	email_message *message;
	message_id ids[3];
	struct told told;
	struct pair pair;
	size_t i;

	for (i = 0; i < N_ELEMENTS(directions); i++) {
		new_pair(&directions[i], &pair);
		/* another body of the same length; other headers; more of them */
		assert_int_equal(test_spool_put(pair.from, wire,
						sizeof(wire) - 1, &ids[0]),
				 IO_DONE);
		assert_int_equal(test_spool_put_as(pair.to, other,
						   sizeof(other) - 1, &ids[0]),
				 IO_DONE);
		put_full(pair.from, &ids[1]);
		put_full(pair.from, &ids[2]);
		(void)migrate(&pair, SPOOL_MIGRATE_KEEP);
		rewrite(pair.from, &ids[2], NULL);
		rewrite(pair.to, &ids[2], "x-new 2");
		assert_int_equal(spool_get(pair.to, &ids[1], &message),
				 IO_DONE);
		email_message_set_flags(message, 0);
		assert_int_equal(spool_writeheaders(pair.to, IO_SYNCHRONOUS,
						    message, 0),
				 IO_DONE);
		email_message_unref(&message);
		told = migrate(&pair, 0);
		assert_int_equal(told.count, 3);
		assert_int_equal(told.problems, 3);
		assert_int_equal(told.error, EEXIST);
		test_spool_must_have(pair.from, &ids[0], wire,
				     sizeof(wire) - 1);
		test_spool_must_have(pair.to, &ids[0], other,
				     sizeof(other) - 1);
		test_spool_must_have(pair.from, &ids[1], wire,
				     sizeof(wire) - 1);
		test_spool_must_have(pair.from, &ids[2], wire,
				     sizeof(wire) - 1);
		close_pair(&pair);
	}
}

static void test_there_and_back_again(void **state ATTR_UNUSED)
{
	struct spool *other;
	struct pair pair;
	message_id id;

	new_pair(&directions[1], &pair);
	put_full(pair.from, &id);
	(void)migrate(&pair, 0);
	other = pair.from;
	pair.from = pair.to;
	pair.to = other;
	(void)migrate(&pair, 0);
	/* an id that its tombstone is behind of is not dead for ever */
	(void)open_again(&pair.to, pair.from_dir);
	test_spool_must_have(pair.to, &id, wire, sizeof(wire) - 1);
	assert_int_equal(test_spool_scan(pair.from), 0);
	close_pair(&pair);
}

static void test_damage_is_left(void **state ATTR_UNUSED)
{
	char path[512], dir[512];
	message_id ids[2];
	struct told told;
	struct pair pair;
	FILE *f;

	pair.from = test_spool_new_of("file", "");
	(void)snprintf(pair.from_dir, 512, "%s", test_spool_dir());
	put_full(pair.from, &ids[0]);
	put_full(pair.from, &ids[1]);
	test_spool_file(&ids[0], ".b", path);
	f = fopen(path, "a");
	assert_non_null(f);
	assert_true(fputs("more", f) >= 0);
	assert_int_equal(fclose(f), 0);
	pair.to = test_spool_new_of("journal", "");
	(void)snprintf(dir, sizeof(dir), "%s", test_spool_dir());
	told = migrate(&pair, 0);
	assert_int_equal(told.count, 2);
	assert_int_equal(told.problems, 1);
	assert_int_equal(told.error, EINVAL);
	assert_int_equal(test_spool_scan(pair.from), 1);
	assert_int_equal(test_spool_scan(open_again(&pair.to, dir)), 1);
	test_spool_must_have(pair.to, &ids[1], wire, sizeof(wire) - 1);
	close_pair(&pair);
}

/* It cannot be told whether they are the same: the message here stays, and why is told. */
static void test_damage_of_what_is_in_both_is_left(void **state ATTR_UNUSED)
{
	static const struct {
		const char *stack, *suffix;
		bool both;
	} rows[] = {
		{ "gzip", ".b", false }, { "gzip", ".b", true },
		{ "gzip", ".h", false }, { "gzip", ".h", true },
		{ "", ".b", false },     { "", ".b", true },
	};
	char here[512], there[512];
	struct told told;
	struct pair pair;
	message_id id;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		pair.from = test_spool_new_of("file", rows[i].stack);
		put_full(pair.from, &id);
		test_spool_file(&id, rows[i].suffix, here);
		pair.to = test_spool_new_of("file", rows[i].stack);
		(void)migrate(&pair, SPOOL_MIGRATE_KEEP);
		test_spool_file(&id, rows[i].suffix, there);
		assert_int_equal(truncate(there, 20), 0);
		if (rows[i].both)
			assert_int_equal(truncate(here, 20), 0);
		told = migrate(&pair, 0);
		assert_int_equal(told.count, 1);
		assert_int_equal(told.problems, 1);
		assert_int_equal(told.error, EINVAL);
		assert_int_equal(access(here, F_OK), 0);
		assert_int_equal(access(there, F_OK), 0);
		close_pair(&pair);
	}
}

/* Whatever read of a message fails: the other one moves. */
static void test_a_message_that_cannot_be_read(void **state ATTR_UNUSED)
{
	unsigned int call, hit;
	message_id ids[2];
	struct told told;
	struct pair pair;

	TEST_EACH_CALL(call, hit) {
		new_pair(&directions[0], &pair);
		put_full(pair.from, &ids[0]);
		put_large(pair.from, &ids[1]);
		test_faults_begin();
		test_faults.fail_at[TEST_OP_READ] = call;
		test_faults.fail_errno[TEST_OP_READ] = EIO;
		told = migrate(&pair, 0);
		hit = test_faults.calls[TEST_OP_READ];
		test_faults_end();
		assert_int_equal(told.count, 2);
		/* where it was the list's, it is read once more */
		assert_true(told.problems <= 1);
		assert_true(told.problems == 0 || told.error == EIO);
		close_pair(&pair);
	}
}

static void flip_a_byte(const char *path)
{
	buffer_t *file = test_read_file(path);
	unsigned char *data = buffer_get_modifiable_data(file, NULL);

	data[file->used / 2] ^= 1;
	test_write_file(path, data, file->used);
	buffer_free(&file);
}

/* Else it would be whole over there, and gone here. */
static void test_a_damaged_body_is_not_moved(void **state ATTR_UNUSED)
{
	static const struct direction rows[] = {
		{ "file", "", "journal", "" },
		{ "file", "hex", "file", "zstd" },
		{ "journal", "", "file", "" },
		{ "journal", "hex", "journal", "" },
	};
	char path[1024];
	unsigned int total;
	message_id ids[2];
	struct told told;
	struct pair pair;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		pair.from = test_spool_new_of(rows[i].from, rows[i].from_stack);
		put_large(pair.from, &ids[0]);
		if (strcmp(rows[i].from, "file") == 0)
			test_spool_file(&ids[0], ".b", path);
		else
			(void)snprintf(
				path, sizeof(path), "%s",
				test_spool_files_in("journal/bodies").path);
		put_full(pair.from, &ids[1]);
		flip_a_byte(path);
		pair.to = test_spool_new_of(rows[i].to, rows[i].to_stack);
		told = migrate(&pair, 0);
		assert_int_equal(told.count, 2);
		assert_int_equal(told.problems, 1);
		assert_int_equal(told.error, EINVAL);
		must_have_whole(pair.to, 1);
		assert_int_equal(test_spool_damaged(pair.from, &total), 1);
		assert_int_equal(total, 1);
		/* and it is what it was */
		flip_a_byte(path);
		told = migrate(&pair, 0);
		assert_int_equal(told.problems, 0);
		must_have_whole(pair.from, 0);
		must_have_whole(pair.to, 2);
		close_pair(&pair);
	}
}

/* What cannot be written ends it, and is not tried again. */
static void test_a_full_disk_ends_it(void **state ATTR_UNUSED)
{
	static const struct {
		unsigned int count;
		bool always;
	} rows[] = {
		{ 2, true },
		{ 1, false },
		/* more than may be begun before one is told */
		{ 4 * MANY, true },
	};
	message_id ids[4 * MANY];
	struct told told;
	struct pair pair;
	unsigned int n;
	char *error;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		memset(&told, 0, sizeof(told));
		new_pair(&directions[0], &pair);
		for (n = 0; n < rows[i].count; n++)
			put_full(pair.from, &ids[n]);
		test_faults_begin();
		test_faults.fail_at[TEST_OP_WRITE] = 1;
		test_faults.fail_errno[TEST_OP_WRITE] = ENOSPC;
		test_faults.fail_after = rows[i].always;
		assert_int_equal(spool_migrate(pair.from, pair.to, 0, note,
					       &told, &error),
				 -1);
		assert_int_equal(errno, ENOSPC);
		assert_true(test_faults.calls[TEST_OP_WRITE] <= 2 * MANY);
		test_faults_end();
		free(error);
		assert_int_equal(told.count, 0);
		assert_int_equal(test_spool_scan(pair.from), rows[i].count);
		close_pair(&pair);
	}
}

/* Nobody takes a part of them for all. */
static void test_a_list_that_fails(void **state ATTR_UNUSED)
{
	unsigned int call, hit;
	struct told told;
	message_id ids[2];
	struct pair pair;
	char *error;
	int ret;

	new_pair(&directions[0], &pair);
	put_full(pair.from, &ids[0]);
	put_full(pair.from, &ids[1]);
	TEST_EACH_CALL(call, hit) {
		memset(&told, 0, sizeof(told));
		test_faults_begin();
		test_faults.fail_at[TEST_OP_READDIR] = call;
		test_faults.fail_errno[TEST_OP_READDIR] = EIO;
		ret = spool_migrate(pair.from, pair.to, SPOOL_MIGRATE_KEEP,
				    note, &told, &error);
		hit = test_faults.calls[TEST_OP_READDIR];
		test_faults_end();
		assert_int_equal(ret, hit < call ? 0 : -1);
		assert_int_equal(told.count, hit < call ? 2 : 0);
		if (ret < 0) {
			assert_int_equal(errno, EIO);
			free(error);
		}
	}
	close_pair(&pair);
}

/*
 * Many on their way
 */

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	unsigned int inside, wanted;
} gate = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0 };

/* No sync ends before so many have begun. */
static int gated_fdatasync(int fd)
{
	(void)pthread_mutex_lock(&gate.mutex);
	gate.inside++;
	(void)pthread_cond_broadcast(&gate.changed);
	while (gate.inside < gate.wanted)
		(void)pthread_cond_wait(&gate.changed, &gate.mutex);
	(void)pthread_mutex_unlock(&gate.mutex);
	return file_ops_system.fdatasync(fd);
}

static void test_many_are_on_their_way_at_once(void **state ATTR_UNUSED)
{
	struct file_ops ops = file_ops_system;
	message_id ids[MANY];
	struct told told;
	struct pair pair;
	unsigned int i;

	/* in a file store each message has a sync of its own */
	new_pair(&directions[1], &pair);
	for (i = 0; i < MANY; i++)
		put_full(pair.from, &ids[i]);
	ops.fdatasync = gated_fdatasync;
	gate.inside = 0;
	gate.wanted = MANY;
	file_ops_set(&ops);
	told = migrate(&pair, SPOOL_MIGRATE_KEEP);
	file_ops_set(NULL);
	assert_int_equal(told.count, MANY);
	assert_int_equal(told.problems, 0);
	for (i = 0; i < MANY; i++)
		test_spool_must_have(pair.to, &ids[i], wire, sizeof(wire) - 1);
	close_pair(&pair);
}

struct teller {
	pthread_t thread;
	unsigned int count, stop_after;
};

static bool count_and_stop(const struct spool_migrated *what, void *context)
{
	struct teller *teller = context;

	assert_null(what->problem);
	assert_true(pthread_equal(pthread_self(), teller->thread));
	return ++teller->count < teller->stop_after;
}

/* What is on its way then comes to its end, and is told: the counts are right. */
static void test_false_begins_no_other(void **state ATTR_UNUSED)
{
	struct teller teller = { pthread_self(), 0, 3 };
	message_id ids[4 * MANY];
	struct pair pair;
	unsigned int i;
	char *error;

	new_pair(&directions[0], &pair);
	for (i = 0; i < 4 * MANY; i++)
		assert_int_equal(test_spool_put(pair.from, wire,
						sizeof(wire) - 1, &ids[i]),
				 IO_DONE);
	assert_int_equal(spool_migrate(pair.from, pair.to, 0, count_and_stop,
				       &teller, &error),
			 0);
	assert_in_range(teller.count, 3, 4 * MANY - 1);
	assert_int_equal(test_spool_scan(open_again(&pair.from, pair.from_dir)),
			 4 * MANY - teller.count);
	assert_int_equal(test_spool_scan(open_again(&pair.to, pair.to_dir)),
			 teller.count);
	close_pair(&pair);
}

/* Stacks that no address space has room for. */
static void test_no_threads(void **state ATTR_UNUSED)
{
	pthread_attr_t old, huge;
	message_id ids[2];
	struct told told;
	struct pair pair;

	new_pair(&directions[2], &pair);
	put_full(pair.from, &ids[0]);
	put_large(pair.from, &ids[1]);
	assert_int_equal(pthread_getattr_default_np(&old), 0);
	assert_int_equal(pthread_attr_init(&huge), 0);
	assert_int_equal(pthread_attr_setstacksize(&huge, (size_t)1 << 50), 0);
	assert_int_equal(pthread_setattr_default_np(&huge), 0);
	told = migrate(&pair, 0);
	assert_int_equal(pthread_setattr_default_np(&old), 0);
	(void)pthread_attr_destroy(&huge);
	(void)pthread_attr_destroy(&old);
	assert_int_equal(told.count, 2);
	assert_int_equal(told.problems, 0);
	must_have_whole(pair.from, 0);
	must_have_whole(pair.to, 2);
	close_pair(&pair);
}

/* Before anything is told so many are begun, and never more than that are untold. */
#define UNTOLD (2 * MANY)

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	unsigned int begun, told, stop_after;
} race = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, 0 };

static int count_begun(io_infrastructure *io ATTR_UNUSED,
		       io_caller caller ATTR_UNUSED,
		       email_message *message ATTR_UNUSED)
{
	(void)pthread_mutex_lock(&race.mutex);
	race.begun++;
	(void)pthread_cond_broadcast(&race.changed);
	(void)pthread_mutex_unlock(&race.mutex);
	return IO_CONT;
}

static bool tell_late(const struct spool_migrated *what,
		      void *context ATTR_UNUSED)
{
	bool more;

	assert_null(what->problem);
	(void)pthread_mutex_lock(&race.mutex);
	while (race.begun < UNTOLD)
		(void)pthread_cond_wait(&race.changed, &race.mutex);
	assert_true(race.begun <= race.told + UNTOLD);
	more = ++race.told < race.stop_after;
	(void)pthread_mutex_unlock(&race.mutex);
	return more;
}

/* However slow it is: what is not told yet takes memory. */
static void test_nobody_is_far_ahead_of_who_is_told(void **state ATTR_UNUSED)
{
	static const unsigned int stops[] = { 1, MANY, 8 * MANY };
	static io_infrastructure counting = { .shared = SPOOL_MODULE_SHARED(
						      "counting", "", ""),
					      .io_readheaders = count_begun };
	message_id ids[5 * MANY];
	struct pair pair;
	unsigned int n;
	char *error;
	size_t i;

	for (i = 0; i < N_ELEMENTS(stops); i++) {
		new_pair(&directions[0], &pair);
		assert_int_equal(
			spool_add_module(pair.from, &counting, "", &error), 0);
		for (n = 0; n < N_ELEMENTS(ids); n++)
			assert_int_equal(test_spool_put(pair.from, ".\r\n", 3,
							&ids[n]),
					 IO_DONE);
		race.begun = race.told = 0;
		race.stop_after = stops[i];
		assert_int_equal(spool_migrate(pair.from, pair.to, 0, tell_late,
					       NULL, &error),
				 0);
		must_have_whole(pair.to, race.told);
		must_have_whole(pair.from, 5 * MANY - race.told);
		close_pair(&pair);
	}
}

/*
 * Modules before the other store
 */

static _Atomic unsigned int skipped;

static int note_force(io_infrastructure *io ATTR_UNUSED,
		      io_caller caller ATTR_UNUSED,
		      email_message *message ATTR_UNUSED, int force)
{
	if (force == 0)
		skipped++;
	return IO_CONT;
}

/* A message leaves its spool: no module over there may skip it. */
static void test_modules_must_take_it(void **state ATTR_UNUSED)
{
	static io_infrastructure noting = { .shared = SPOOL_MODULE_SHARED(
						    "noting", "", ""),
					    .io_writebody = note_force,
					    .io_writeheaders = note_force };
	struct told told;
	struct pair pair;
	message_id id;
	char *error;

	new_pair(&directions[0], &pair);
	assert_int_equal(spool_add_module(pair.to, &noting, "", &error), 0);
	put_full(pair.from, &id);
	skipped = 0;
	told = migrate(&pair, 0);
	assert_int_equal(told.count, 1);
	assert_int_equal(told.problems, 0);
	assert_int_equal(skipped, 0);
	close_pair(&pair);
}

static int fail_without_reason(io_infrastructure *io ATTR_UNUSED,
			       io_caller caller ATTR_UNUSED,
			       email_message *message ATTR_UNUSED)
{
	errno = 0;
	return IO_FAIL;
}

/* A problem has an errno, also where a module gave none. */
static void test_a_failure_without_a_reason(void **state ATTR_UNUSED)
{
	static io_infrastructure failing = {
		.shared = SPOOL_MODULE_SHARED("failing", "", ""),
		.io_readheaders = fail_without_reason
	};
	struct told told;
	struct pair pair;
	message_id id;
	char *error;

	new_pair(&directions[0], &pair);
	put_full(pair.from, &id);
	(void)open_again(&pair.from, pair.from_dir);
	assert_int_equal(spool_add_module(pair.from, &failing, "", &error), 0);
	told = migrate(&pair, 0);
	assert_int_equal(told.problems, 1);
	assert_true(told.error != 0);
	close_pair(&pair);
}

static unsigned int unlinks;

static int go_on_with_write(io_infrastructure *io ATTR_UNUSED,
			    io_caller caller ATTR_UNUSED,
			    email_message *message ATTR_UNUSED,
			    int force ATTR_UNUSED)
{
	return IO_CONT;
}

static int count_unlink(io_infrastructure *io ATTR_UNUSED,
			io_caller caller ATTR_UNUSED,
			message_id *id ATTR_UNUSED)
{
	unlinks++;
	return IO_CONT;
}

/* What a module has of a message that is stored it is not told to forget: not by a migration
   that goes on, nor by a put of another message of that id. */
static void test_modules_keep_what_is_stored(void **state ATTR_UNUSED)
{
	static io_infrastructure copying = {
		.shared = SPOOL_MODULE_SHARED("copying", "", ""),
		.io_writebody = go_on_with_write,
		.io_writeheaders = go_on_with_write,
		.io_unlinkheaders = count_unlink,
		.io_unlinkbody = count_unlink
	};
	message_id id;
	struct told told;
	struct pair pair;
	char *error;
	size_t i;

	for (i = 0; i < N_ELEMENTS(directions); i++) {
		new_pair(&directions[i], &pair);
		assert_int_equal(
			spool_add_module(pair.to, &copying, "", &error), 0);
		put_full(pair.from, &id);
		(void)migrate(&pair, SPOOL_MIGRATE_KEEP);
		unlinks = 0;
		told = migrate(&pair, 0);
		assert_int_equal(told.were_there, 1);
		assert_int_equal(told.problems, 0);
		assert_int_equal(test_spool_put_as(pair.to, wire,
						   sizeof(wire) - 1, &id),
				 IO_FAIL);
		assert_int_equal(io_get_errno(), EEXIST);
		assert_int_equal(unlinks, 0);
		close_pair(&pair);
	}
}

/* Whose message has a body of another length than it says. */
static int give_short_body(io_infrastructure *io ATTR_UNUSED,
			   io_caller caller ATTR_UNUSED, email_message *message)
{
	struct istream *body = i_stream_create_from_data(".\r\n", 3);

	email_message_set_body(message, body, sizeof(wire) - 1);
	i_stream_unref(&body);
	return IO_DONE;
}

/* They are the same, but both have lost their ends. */
static void test_short_bodies_in_both_are_left(void **state ATTR_UNUSED)
{
	static io_infrastructure cutting[] = {
		{ .shared = SPOOL_MODULE_SHARED("cutting", "", ""),
		  .io_readbody = give_short_body },
		{ .shared = SPOOL_MODULE_SHARED("cutting", "", ""),
		  .io_readbody = give_short_body }
	};
	struct told told;
	struct pair pair;
	message_id id;
	char *error;

	new_pair(&directions[0], &pair);
	put_full(pair.from, &id);
	(void)migrate(&pair, SPOOL_MIGRATE_KEEP);
	(void)open_again(&pair.from, pair.from_dir);
	(void)open_again(&pair.to, pair.to_dir);
	assert_int_equal(spool_add_module(pair.from, &cutting[0], "", &error),
			 0);
	assert_int_equal(spool_add_module(pair.to, &cutting[1], "", &error), 0);
	told = migrate(&pair, 0);
	assert_int_equal(told.problems, 1);
	assert_int_equal(told.error, EINVAL);
	assert_int_equal(test_spool_scan(pair.from), 1);
	close_pair(&pair);
}

static void test_what_cannot_be_is_refused(void **state ATTR_UNUSED)
{
	struct spool *bare = spool_new();
	struct pair pair;
	message_id id;
	char *error;

	new_pair(&directions[0], &pair);
	put_full(pair.from, &id);
	assert_int_equal(
		spool_migrate(pair.from, pair.from, 0, NULL, NULL, &error), -1);
	assert_int_equal(errno, EINVAL);
	free(error);
	/* modules alone */
	assert_int_equal(spool_migrate(pair.from, bare, 0, NULL, NULL, &error),
			 -1);
	assert_int_equal(errno, ENOTSUP);
	free(error);
	assert_int_equal(spool_migrate(bare, pair.from, 0, NULL, NULL, &error),
			 -1);
	assert_int_equal(errno, ENOTSUP);
	free(error);
	spool_close(&bare);
	spool_close(&pair.to);
	pair.to = spool_open(pair.to_dir, SPOOL_OPEN_READ_ONLY, NULL, &error);
	assert_non_null(pair.to);
	assert_int_equal(
		spool_migrate(pair.from, pair.to, 0, NULL, NULL, &error), -1);
	assert_int_equal(errno, EROFS);
	free(error);
	assert_int_equal(
		spool_migrate(pair.to, pair.from, 0, NULL, NULL, &error), -1);
	assert_int_equal(errno, EROFS);
	free(error);
	/* copies leave it as it is */
	assert_int_equal(spool_migrate(pair.to, pair.from, SPOOL_MIGRATE_KEEP,
				       NULL, NULL, &error),
			 0);
	assert_int_equal(test_spool_scan(pair.from), 1);
	close_pair(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_of_a_message_moves),
		cmocka_unit_test(test_keep_copies),
		cmocka_unit_test(test_what_is_in_both_goes_on),
		cmocka_unit_test(test_a_body_without_headers_is_no_message),
		cmocka_unit_test(test_what_differs_is_left),
		cmocka_unit_test(test_there_and_back_again),
		cmocka_unit_test(test_damage_is_left),
		cmocka_unit_test(test_damage_of_what_is_in_both_is_left),
		cmocka_unit_test(test_a_message_that_cannot_be_read),
		cmocka_unit_test(test_a_damaged_body_is_not_moved),
		cmocka_unit_test(test_a_full_disk_ends_it),
		cmocka_unit_test(test_a_list_that_fails),
		cmocka_unit_test(test_many_are_on_their_way_at_once),
		cmocka_unit_test(test_false_begins_no_other),
		cmocka_unit_test(test_no_threads),
		cmocka_unit_test(test_nobody_is_far_ahead_of_who_is_told),
		cmocka_unit_test(test_modules_must_take_it),
		cmocka_unit_test(test_a_failure_without_a_reason),
		cmocka_unit_test(test_modules_keep_what_is_stored),
		cmocka_unit_test(test_short_bodies_in_both_are_left),
		cmocka_unit_test(test_what_cannot_be_is_refused),
	};

	return cmocka_run_group_tests_name(
		"spool-migrate", tests, test_spool_setup, test_spool_teardown);
}
